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

from desktop_app.adapters.chain import Chain
from desktop_app.adapters.store import Store
from desktop_app.core import ledger, messages
from desktop_app.core.money import net
from desktop_app.core.receipts import Receipt, digest
from desktop_app.core.state import Paid, State
from desktop_app.wire.networks import load_practice
from tests.desktop import Desktop
from tests.flows.house import House

DEATHS = 25
SEED = 20260603
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def house(tmp_path: Path, desktop: Desktop) -> Iterator[House]:
    one = House(tmp_path / "owner")
    one.start("agent")
    one.start("tray")
    yield one
    one.close()


def test_nothing_is_orphaned_lost_or_paid_twice(house: House) -> None:
    dice = random.Random(SEED)
    house.wait("the wallet", lambda state: state.wallet.ready, 60)
    house.post(messages.OwnerTurnedSharing(True))
    house.wait("a first task", lambda state: state.task is not None, 90)
    deaths: list[str] = []
    while len(deaths) < DEATHS:
        time.sleep(dice.uniform(0.2, 3.0))
        deaths += _one_death(house, dice)
    state = _leave_in_peace(house)
    assert {"agent", "tray", "worker", "market", "chain"} <= set(deaths), deaths
    _books_agree(house, state)


def _one_death(house: House, dice: random.Random) -> list[str]:
    """Kill one part; its name, or nothing when it was not there to kill."""
    part = dice.choice(("agent", "tray", "worker", "worker", "market", "chain"))
    looks: dict[str, Callable[[], list[psutil.Process]]] = {
        "agent": lambda: house.processes("desktop_app", "agent"),
        "tray": lambda: house.processes("desktop_app", "tray"),
        "worker": house.worker,
        "market": lambda: house.processes("nats-server"),
        "chain": lambda: house.processes("desktop_app", "practice-evm"),
    }
    if not house.kill(looks[part]()):
        return []
    if part in ("agent", "tray"):
        house.start(part)
    return [part]


def _leave_in_peace(house: House) -> State:
    """Let it earn once more, stop, and wait until all that was delivered is verified and paid."""
    before = house.wait("the chain", lambda state: state.wallet.chain_ok, 120)
    house.post(messages.OwnerTurnedSharing(True))
    house.wait("money after the deaths", lambda state: state.wallet.paid > before.wallet.paid, 180)
    house.post(messages.OwnerAskedFinish())
    return house.wait("settled books", _settled, 180)


def _settled(state: State) -> bool:
    """Nothing is on its way any more; a task that was handed back waits for whoever finishes it."""
    done = state.task is None and not state.outbox and not state.sharing.on
    on_its_way = any(line.paid in (Paid.PENDING, Paid.EARNED) for line in state.history)
    return done and not on_its_way and ledger.earned(state) == 0 and state.wallet.balance == state.wallet.paid


def _books_agree(house: House, state: State) -> None:
    chain = Chain(load_practice(house.profile.practice / "network.json"))
    store = Store(house.profile.settings, house.profile.database)
    try:
        store.open()
        receipts = [signed.receipt for signed in store.receipts()]
        gpu = state.gpu.chain_id
        assert gpu is not None
        due = 0
        for job in {receipt.job_id for receipt in receipts}:
            on_chain, terms = chain.units_paid(job, gpu), chain.job(job)
            assert terms is not None
            assert on_chain == _units_finished([one for one in receipts if one.job_id == job]), job
            due += net(on_chain, terms.rate, terms.fee_bps)
        balance, _block = chain.balance(state.wallet.address)
        assert balance == due == state.wallet.paid
    finally:
        store.close()
        chain.close()


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
