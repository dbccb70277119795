"""How long ago the signal behind a give-back arose, as well as the message that carried it can tell.

An owner's waiting begins at the key press, not when somebody looked: what a look finds new arose at any time since the look
before, and that whole time is counted. Called by the engine, which adds the time the message waited.
"""

from desktop_app.core.gpu import FOREIGN_BUSY_S
from desktop_app.core.messages import ClockTicked, GpuMeasured, GpuWentMissing, Message, PresenceSensed
from desktop_app.core.state import Trigger

_CELL_S = 1_800
"""A schedule changes on the half hours of the owner's clock; zones lie whole quarters of an hour apart."""

_QUARTER_S = _CELL_S // 2


def late_s(message: Message, trigger: Trigger) -> float:
    """Seconds between the signal and the posting of `message`, at most; 0 for what is told the moment it happens."""
    match message:
        case PresenceSensed(presence, since_s):
            # The screen's server says itself how long ago the key was pressed.
            exact = presence.idle_s if trigger is Trigger.PRESENCE else None
            return since_s if exact is None else min(exact, since_s)
        case ClockTicked(now, _, since_s):
            return min(now.timestamp() % _QUARTER_S, since_s)
        case GpuMeasured() | GpuWentMissing():
            # Another program's use of the card counts only when it was seen that often.
            watched = max(FOREIGN_BUSY_S, message.since_s) if trigger is Trigger.FOREIGN_USE else 0.0
            return message.since_s + watched
        case _:
            return 0.0
