"""How the tests of `update` speak to it, and the states they begin in."""

from desktop_app.core import effects as e
from desktop_app.core import messages as m
from desktop_app.core.receipts import SignedReceipt
from desktop_app.core.state import Sharing, State
from desktop_app.core.task import Phase
from desktop_app.core.update import update
from tests.builders import a_blob, a_checkpoint, a_give_back, a_state, a_task, signed

OFF = Sharing(on=False)
MODEL = (a_blob("model"),)
STARTED = m.WorkerStarted("task-1", 4_242)
FINISHED = m.WorkerFinished("task-1", MODEL, (("accuracy", 0.97),))
HELD = (Phase.FETCHING, Phase.READY, Phase.STARTING, Phase.RUNNING, Phase.RETURNING, Phase.DROPPING, Phase.HANDING_BACK, Phase.DELIVERING)


def phase(state: State) -> Phase | None:
    return state.task.phase if state.task else None


def hear(state: State, *messages: m.Message) -> tuple[State, tuple[e.Effect, ...]]:
    """The state after all, and the effects of the last."""
    effects: tuple[e.Effect, ...] = ()
    for message in messages:
        state, effects = update(state, message)
    return state, effects


def kinds(effects: tuple[e.Effect, ...]) -> list[type[e.Effect]]:
    return [type(effect) for effect in effects]


def running(**parts: int) -> State:
    checkpoint = a_checkpoint(parts["step"]) if "step" in parts else None
    return a_state(task=a_task(checkpoint=checkpoint, crashes=parts.get("crashes", 0), mishaps=parts.get("mishaps", 0)))


def delivering() -> State:
    """A final receipt is signed and on its way."""
    state, effects = hear(running(), FINISHED)
    return hear(state, *(m.ReceiptSigned(signed(effect.receipt)) for effect in effects if isinstance(effect, e.SignReceipt)))[0]


def handing_back() -> State:
    """A segment's receipt is signed and on its way."""
    state, effects = hear(running(step=40), m.OwnerTurnedSharing(on=False), m.GpuGivenBack(a_give_back(), None))
    return hear(state, *(m.ReceiptSigned(signed(effect.receipt)) for effect in effects if isinstance(effect, e.SignReceipt)))[0]


def owed(state: State) -> SignedReceipt:
    return state.outbox[0]
