"""Bad days on a real machine, but for sudden deaths: strangers who mean harm, a dead market, a silent chain.

One house serves them all, one after another, and its books must add up after each.
"""

import os
import time
from collections.abc import Iterator

import pytest

from desktop_app.adapters.store import Store
from desktop_app.core import messages
from desktop_app.core.state import Cooldown, NoticeKind, Reason, State, Trigger
from desktop_app.core.task import Phase
from desktop_app.wire.market import Standing
from tests.flows import hostile
from tests.flows.books import books_agree, settled
from tests.flows.house import House, frozen
from tests.leaks import leak_check

LONG_S = 600  # for what takes ten seconds on a machine at rest
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with leak_check(os.environ["SUBLET_TEST_RUN"]):
        one = House(tmp_path_factory.mktemp("bad") / "owner")
        one.start("agent", "--no-keyring")
        try:
            one.wait("wallet and market", lambda state: state.wallet.ready and state.market.connected and state.wallet.chain_ok, LONG_S)
            yield one
        finally:
            one.close()


def test_hostile_bundles_are_refused_and_the_owner_is_not_blamed(house: House) -> None:
    laid = hostile.traps()
    hostile.publish(house.profile.practice, laid)
    house.post(messages.OwnerTurnedSharing(True))
    state = house.wait("every refusal", lambda state: len(_refusals(state)) == len(laid), LONG_S)
    told = dict(_refusals(state))
    for trap in laid:
        assert trap.reason in told[trap.task_id], trap.name
    for trap, (record, queued) in zip(laid, hostile.standing_at_last(house.profile.practice, laid), strict=True):
        assert record.standing is Standing.DEAD, trap.name
        assert trap.reason in record.reason, trap.name
        assert not queued, trap.name
    assert state.sharing.on
    assert state.cooldown == Cooldown()
    taken = {line.task_id for line in state.history}
    house.wait("the next good task", lambda state: any(line.task_id not in taken for line in state.history), LONG_S)
    assert "turned down at the door" not in house.sublet("status")
    _come_to_rest(house)
    assert not list(house.profile.blobs.glob(".part-*")), "what was refused half-way is left on the disk"


def test_a_dead_market_stops_no_work_and_all_is_settled_afterwards(house: House) -> None:
    house.post(messages.OwnerTurnedSharing(True))
    task = house.wait("a task under way", _running, LONG_S).task
    assert task is not None
    with frozen(house.processes("practice", "--attached")):  # it would start another server at once
        assert house.kill(house.processes("nats-server"))
        state = house.wait("the loss noticed", lambda state: not state.market.connected, 60)
        assert state.task is not None
        before = state.task.progress.step if state.task.progress else 0
        house.wait("work that goes on", lambda state: _further(state, before), 120)
        house.wait("the work done", lambda state: state.task is not None and state.task.phase is Phase.DELIVERING, LONG_S)
        assert "miss  Market: " in house.sublet("doctor", status=1)
    house.wait("the result delivered", lambda state: any(line.task_id == task.lease.manifest.task_id for line in state.history), LONG_S)
    _come_to_rest(house)


def test_a_market_that_hangs_is_said_to_be_offline(house: House) -> None:
    with frozen(house.processes("nats-server")):
        house.post(messages.OwnerTurnedSharing(True))
        state = house.wait("the hanging market noticed", lambda state: state.why.reason is Reason.MARKET_OFFLINE, 120)
        assert state.task is None
        assert "the market cannot be reached" in house.sublet("status")
    house.wait("a task again", lambda state: state.task is not None, LONG_S)
    _come_to_rest(house)


def test_a_silent_chain_makes_the_balance_old_and_stops_no_work(house: House) -> None:
    house.post(messages.OwnerTurnedSharing(True))
    before = house.wait("a task under way", _running, LONG_S)
    with frozen(house.processes("practice-evm")):
        state = house.wait("the silence noticed", lambda state: not state.wallet.chain_ok, 120)
        assert state.wallet.balance == before.wallet.balance
        assert "as last seen; the chain cannot be reached right now" in house.sublet("wallet")
        house.wait("the task done", lambda state: len(state.history) > len(before.history), LONG_S)
        told = house.sublet("cash-out", "0x" + "5e" * 20, "--yes", status=1)
        assert "the chain does not answer" in told
    house.wait("the chain again", lambda state: state.wallet.chain_ok and state.wallet.paid > before.wallet.paid, LONG_S)
    _come_to_rest(house)


def test_a_signal_to_stop_gives_the_gpu_back_first(house: House) -> None:
    """The last of this file: it ends the house."""
    house.post(messages.OwnerTurnedSharing(True))
    house.wait("a task under way", _running, LONG_S)
    agent = house.processes("-m desktop_app agent")[0]
    agent.terminate()
    agent.wait(120)
    assert not house.processes()
    store = Store(house.profile.settings, house.profile.database)
    state = store.open().state
    store.close()
    assert state.give_backs[0].trigger is Trigger.QUIT
    assert state.give_backs[0].stopped_ms <= 2_000
    assert state.sharing.on  # an owner who quits has not said that sharing is off
    assert state.task is None or state.task.phase is Phase.HANDING_BACK


def _come_to_rest(house: House) -> None:
    """Stop after the task at hand; then everything must be settled, and the books agree."""
    house.post(messages.OwnerAskedFinish())
    house.wait("the end of sharing", lambda state: not state.sharing.on, LONG_S)
    state = house.wait("settled books", settled, LONG_S)
    books_agree(house, state)
    assert not [one for one in state.notices if one.kind is NoticeKind.TROUBLE], state.notices
    end = time.monotonic() + 60
    while house.worker():
        assert time.monotonic() < end
        time.sleep(0.1)


def _refusals(state: State) -> list[tuple[str, str]]:
    told = (one.detail.partition(": ") for one in state.notices if one.kind is NoticeKind.TASK_REFUSED)
    return [(task_id, reason) for task_id, _colon, reason in told]


def _running(state: State) -> bool:
    task = state.task
    return task is not None and task.phase is Phase.RUNNING and task.progress is not None and task.progress.step > 0


def _further(state: State, step: int) -> bool:
    task = state.task
    return task is not None and (task.phase is Phase.DELIVERING or (task.progress is not None and task.progress.step > step))
