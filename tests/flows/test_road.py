"""The main job on the command line, with everything real: unlock, share, earn, pause, finish, cash out, quit. And the tour."""

import re
import secrets
import signal
import subprocess
import sys
import time

import psutil
import pytest

from desktop_app.adapters.chain import Chain
from desktop_app.core import ledger
from desktop_app.core.money import DOLLAR
from desktop_app.core.state import Paid, State, Trigger
from desktop_app.core.task import Phase
from desktop_app.wire.networks import load_practice
from desktop_app.wire.phrases import exact, paid, parse_money
from tests.flows.house import House

LONG_S = 600  # for what takes ten seconds on a machine at rest
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def test_an_owner_earns_pauses_cashes_out_and_leaves(house: House) -> None:
    house.wait("a wallet opened by a passphrase file, and the market", lambda state: state.wallet.ready and state.market.connected, LONG_S)
    house.sublet("share", "on")
    house.wait("a first payment", lambda state: state.wallet.paid > 0, LONG_S)
    _pause_and_resume(house)
    house.sublet("finish")
    house.wait("the end of the last task", lambda state: state.task is None and not state.sharing.on, LONG_S)
    state = house.wait("settled books", _settled, LONG_S)
    _verbs_tell_the_same(house, state)
    _cash_out(house, state)
    _leave(house)


def _pause_and_resume(house: House) -> None:
    house.wait("a task under way", _running, LONG_S)
    before = len(house.wait("the state", lambda _state: True, 10).give_backs)
    assert "you paused it" in house.sublet("pause", "15m")
    state = house.wait("the GPU", lambda state: len(state.give_backs) > before, 20)
    record = state.give_backs[0]
    assert record.trigger is Trigger.SNOOZE
    assert record.stopped_ms <= 2_000  # the benchmark measures it; here other tests share the cores
    state = house.wait("the task handed back", lambda state: state.task is None, LONG_S)
    assert state.sharing.on
    assert not house.worker()
    house.sublet("pause", "over")
    house.wait("work again", _running, LONG_S)


def _verbs_tell_the_same(house: House, state: State) -> None:
    wallet = house.sublet("wallet")
    assert f"Address: {state.wallet.address}\n" in wallet
    assert f"Balance: {exact(state.wallet.paid)}\n" in wallet
    assert f"Paid: {exact(state.wallet.paid)}\n" in wallet
    assert all(payout.transaction in wallet for payout in state.wallet.payouts)
    tasks = house.sublet("tasks").splitlines()
    assert len(tasks) == len(state.history)
    assert all(f"  {exact(line.amount)}  {paid(line.paid)}" in told for line, told in zip(state.history, tasks, strict=True))
    assert any("accuracy 0.9" in line for line in tasks)
    doctor = house.sublet("doctor")
    assert "miss" not in doctor
    assert "Sandbox: isolated" in doctor


def _cash_out(house: House, state: State) -> None:
    chain = Chain(load_practice(house.profile.practice / "network.json"))
    fresh = "0x" + secrets.token_hex(20)
    try:
        before = chain.balance(state.wallet.address)[0]
        assert before == state.wallet.paid
        told = house.sublet("cash-out", fresh, "--yes")
        leaves, fee, arrives = (_amount(told, name) for name in ("Leaves the wallet", "Fee", "Arrives"))
        assert leaves == before == fee + arrives
        assert chain.balance(state.wallet.address)[0] == 0
        assert chain.balance(fresh)[0] == arrives
        assert f"arrived at {fresh[:6]}…{fresh[-4:]}" in told
        assert re.search(r"^Transaction: 0x[0-9a-f]{64}$", told, re.MULTILINE)
        assert "there is nothing to cash out" in house.sublet("cash-out", fresh, "--yes", status=1)
    finally:
        chain.close()


def _leave(house: House) -> None:
    assert "Your GPU is yours." in house.sublet("quit")
    end = time.monotonic() + 60
    while left := house.processes():
        assert time.monotonic() < end, left
        time.sleep(0.1)
    house.sublet("status", status=3)
    assert not house.profile.socket.exists()
    assert not any(house.profile.tasks.iterdir())


def _amount(told: str, name: str) -> int:
    found = re.search(rf"^{name}: (\$[0-9.,]+)", told, re.MULTILINE)
    assert found is not None, told
    amount = parse_money(found[1])
    assert amount is not None
    assert amount < DOLLAR
    return amount


def _running(state: State) -> bool:
    task = state.task
    return task is not None and task.phase is Phase.RUNNING and task.progress is not None and task.progress.step > 0


def _settled(state: State) -> bool:
    """A segment that was handed back is paid when somebody has finished its task; all else is paid."""
    done = all(line.paid in (Paid.PAID, Paid.HANDED_BACK) for line in state.history)
    return done and ledger.earned(state) == 0 and state.wallet.balance == state.wallet.paid


def test_the_tour_adds_up() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "desktop_app", "tour"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1700
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Everything added up" in done.stdout
    assert done.stdout.count("agrees") == 6
    assert done.stderr == ""


def test_a_tour_told_to_end_takes_everything_with_it() -> None:
    with subprocess.Popen([sys.executable, "-m", "desktop_app", "tour"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as tour:
        assert tour.stdout is not None
        while b"device" not in tour.stdout.readline():
            assert tour.poll() is None
        family = psutil.Process(tour.pid).children(recursive=True)
        assert len(family) > 3  # the agent, the practice network and its parts
        tour.terminate()
        tour.stdout.read()
    _gone, alive = psutil.wait_procs(family, LONG_S)
    assert alive == []
    assert tour.returncode == 128 + signal.SIGTERM
