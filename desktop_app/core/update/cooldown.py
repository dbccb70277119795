"""The pause after a rule took the GPU back: it grows from one to the next, and shrinks again with quiet work.

Called by `settle`, `work` and `segment`. The owner's own words are followed by none.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from desktop_app.core.policy import COOLDOWN_MOST
from desktop_app.core.state import Cooldown, State
from desktop_app.core.task import Phase

COOLDOWN_FIRST = timedelta(seconds=60)
QUIET_WORK = timedelta(minutes=10)  # so long a task ran undisturbed: the next pause is half as long


def lengthened(cooldown: Cooldown, now: datetime) -> Cooldown:
    """The pause after the GPU was taken from a task: twice the one before."""
    pause = min(COOLDOWN_FIRST * 2 ** min(cooldown.times, 10), COOLDOWN_MOST)
    return Cooldown(now + pause, cooldown.times + 1, cooldown.since)


def eased(cooldown: Cooldown) -> Cooldown:
    """A task was finished undisturbed: the next pause will be half as long."""
    return Cooldown() if cooldown.times <= 1 else replace(cooldown, times=cooldown.times - 1)


def started(cooldown: Cooldown, now: datetime) -> Cooldown:
    """A task runs from now on: quiet work is counted from here, if there is a pause to shrink."""
    return replace(cooldown, since=now) if cooldown.times else cooldown


def settle_cooldown(state: State) -> State:
    """Let the next pause shrink while a task runs. A sleep or a jump of the clock counts as one stretch of quiet at most."""
    cooldown, task = state.cooldown, state.task
    if not cooldown.times or task is None or task.phase is not Phase.RUNNING:
        return state
    if cooldown.since > state.now:  # left over from a clock that has since gone back
        return replace(state, cooldown=replace(cooldown, since=state.now))
    if state.now - cooldown.since < QUIET_WORK:
        return state
    return replace(state, cooldown=started(eased(cooldown), state.now))
