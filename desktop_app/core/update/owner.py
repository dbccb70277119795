"""What the owner says: sharing on and off, snooze, finish, settings, quit. Called by `update`."""

from dataclasses import replace
from datetime import timedelta

from desktop_app.core import messages as m
from desktop_app.core.bench import Trial, TrialPhase
from desktop_app.core.effects import Effect, ListPrograms
from desktop_app.core.gpu import Foreign, Reading
from desktop_app.core.presence import Presence
from desktop_app.core.settings import Refused, change
from desktop_app.core.signals import forgotten
from desktop_app.core.state import Cooldown, Level, Notice, NoticeKind, Sharing, State

NOTICES_KEPT = 10
DETAIL_KEPT = 300  # characters; some of these words come from strangers
PATIENCE_AT_QUIT = timedelta(seconds=5)

OwnerWord = (
    m.OwnerTurnedSharing | m.OwnerSnoozed | m.OwnerAskedFinish | m.OwnerChangedSettings
    | m.OwnerAskedPrograms | m.OwnerDismissedNotices | m.OwnerQuit
)


def hear(state: State, message: OwnerWord) -> tuple[State, tuple[Effect, ...]]:
    """The state after the owner's word; what follows from it is settled by the policy."""
    match message:
        case m.OwnerTurnedSharing(on):
            return _turn(state, on), ()
        case m.OwnerSnoozed(until):
            return replace(state, sharing=replace(state.sharing, snoozed_until=until)), ()
        case m.OwnerAskedFinish():
            return _finish(state), ()
        case m.OwnerAskedPrograms():
            return state, (ListPrograms(),)
        case m.OwnerDismissedNotices():
            return replace(state, notices=()), ()
        case m.OwnerQuit():
            quitting = replace(state.sharing, quitting=True, quit_by=state.sharing.quit_by or state.now + PATIENCE_AT_QUIT)
            return replace(state, sharing=quitting), ()
        case _:
            return _change(state, message.changes), ()


def notice(state: State, kind: NoticeKind, detail: str) -> State:
    """The state with one more thing to tell the owner; the same words are not said twice."""
    detail = detail[:DETAIL_KEPT]
    if any(known.kind is kind and known.detail == detail for known in state.notices):
        return state
    return replace(state, notices=(Notice(kind, state.now, detail), *state.notices)[:NOTICES_KEPT])


def _turn(state: State, on: bool) -> State:
    # The owner's own word ends a snooze, a cool-down and a signal's quiet time: none may stand in the way of a click.
    # It also has a sandbox that failed its test tried again at once, and a benchmark that failed.
    sharing = Sharing(on=on, quitting=state.sharing.quitting, quit_by=state.sharing.quit_by)
    gpu = replace(state.gpu, trial=Trial()) if state.gpu.trial.phase is TrialPhase.RESTING else state.gpu
    if on and not state.sharing.on:
        # Nobody has looked while nothing was shared; and only this word, or a restart, ends the wait after a fault of the card.
        state = replace(state, presence=Presence(), looked=False)
        gpu = replace(gpu, reading=Reading(), foreign=Foreign(), fault=None)
    state = replace(state, signals=forgotten(state.signals), crashed=())
    ready = state.readiness
    if ready.level is not Level.ISOLATED or not ready.runtime:
        ready = replace(ready, tested=None)
    return replace(state, sharing=sharing, gpu=gpu, cooldown=Cooldown(), readiness=ready)


def _finish(state: State) -> State:
    if state.task is None:
        return replace(state, sharing=replace(state.sharing, on=False))
    return replace(state, sharing=replace(state.sharing, finishing=True))


def _change(state: State, changes: tuple[tuple[str, bool | int | str], ...]) -> State:
    for name, value in changes:
        outcome = change(state.settings, name, value)
        if isinstance(outcome, Refused):
            state = notice(state, NoticeKind.SETTING_REFUSED, f"{outcome.name}: {outcome.reason}")
        else:
            state = replace(state, settings=outcome)
    return state
