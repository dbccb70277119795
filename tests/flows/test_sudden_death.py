"""Twenty-five sudden deaths: whatever is killed, and whenever, no process is orphaned and no money is lost or paid twice.

Agent, tray, worker, market server and chain are killed with SIGKILL at random moments while the machine earns. After it is
left in peace, receipts, vouchers and the chain must agree to the micro-dollar.
"""

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from desktop_app.adapters.store import Store
from desktop_app.core import messages
from desktop_app.core.receipts import Receipt, digest
from desktop_app.core.state import State
from tests.desktop import Desktop
from tests.flows.books import books_agree, settled
from tests.flows.house import House

DEATHS = 25
PARTS = ("agent", "tray", "worker", "market", "chain")
LONG_S = 600  # for what takes ten seconds on a machine at rest
SEED = 20260603
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture
def house(tmp_path: Path, desktop: Desktop) -> Iterator[House]:
    one = House(tmp_path / "owner")
    one.start("agent")
    one.start("tray")
    yield one
    one.close()


def test_nothing_is_orphaned_lost_or_paid_twice(house: House) -> None:
    dice = random.Random(SEED)
    house.wait("the wallet", lambda state: state.wallet.ready, LONG_S)
    house.post(messages.OwnerTurnedSharing(True))
    house.wait("a first task", lambda state: state.task is not None, LONG_S)
    deaths: list[str] = []
    while len(deaths) < DEATHS:
        time.sleep(dice.uniform(0.2, 3.0))
        deaths += _one_death(house, dice.choice((*PARTS, "worker")))
    for part in PARTS:
        end = time.monotonic() + LONG_S
        while part not in deaths:  # on a slow machine a worker may never have been there in time
            assert time.monotonic() < end, f"no {part} came back"
            deaths += _one_death(house, part)
            time.sleep(0.1)
    state = _leave_in_peace(house)
    books_agree(house, state)
    house.close()
    _receipts_were_paid(house, state)


def _one_death(house: House, part: str) -> list[str]:
    """Kill one part; its name, or nothing when it was not there to kill."""
    looks: dict[str, Callable[[], list[psutil.Process]]] = {
        "agent": lambda: house.processes("-m desktop_app agent"),
        "tray": lambda: house.processes("-m desktop_app tray"),
        "worker": house.worker,
        "market": lambda: house.processes("nats-server"),
        "chain": lambda: house.processes("-m desktop_app practice-evm"),
    }
    if not house.kill(looks[part]()):
        return []
    if part in ("agent", "tray"):
        house.start(part)
    return [part]


def _leave_in_peace(house: House) -> State:
    """Let it earn once more, stop, and wait until all that was delivered is verified and paid."""
    before = house.wait("the chain", lambda state: state.wallet.chain_ok, LONG_S)
    house.post(messages.OwnerTurnedSharing(True))
    house.wait("money after the deaths", lambda state: state.wallet.paid > before.wallet.paid, LONG_S)
    house.post(messages.OwnerAskedFinish())
    return house.wait("settled books", lambda state: settled(state) and not state.sharing.on, LONG_S)


def _receipts_were_paid(house: House, state: State) -> None:
    """What the escrow paid for each job is what the chain of signed receipts of its finished tasks says; the agent has ended."""
    store = Store(house.profile.settings, house.profile.database)
    try:
        store.open()
        receipts = [signed.receipt for signed in store.receipts()]
    finally:
        store.close()
    for account in state.accounts:
        assert account.redeemed == _units_finished([one for one in receipts if one.job_id == account.job_id]), account


def _units_finished(receipts: list[Receipt]) -> int:
    """What the finished tasks of a job are worth: each final receipt, and the chain of receipts it continues."""
    known = {digest(one): one for one in receipts}
    finals = {one.task_id: one for one in receipts if one.final}
    total = 0
    for final in finals.values():
        one: Receipt | None = final
        while one is not None:
            total += one.units
            one = known.get(one.prev)
    return total
