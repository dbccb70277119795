"""`sublet tour`: the whole road, on a fresh profile, with real parts and test money, told step by step.

Shares the GPU, gives a second person three tenths of it, earns from three tasks, takes the GPU back in the middle of a fourth,
goes on, cashes out to a fresh address, and reads the chain before and after. Exit status 0 only if every balance adds up to the
micro-dollar. Called by `__main__`, and by the installer where there is no display.
"""

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from desktop_app.adapters.chain import Chain
from desktop_app.core import ledger, messages
from desktop_app.core.cashout import OPEN_STAGES, Stage, arrives
from desktop_app.core.errors import AppError
from desktop_app.core.money import MicroUsd, net, split
from desktop_app.core.state import Paid, State, TaskRecord
from desktop_app.core.task import Phase
from desktop_app.practice.co_owner import co_own
from desktop_app.wire import phrases
from desktop_app.wire.guest import Guest, NoAgent
from desktop_app.wire.networks import load_practice
from desktop_app.wire.profile import Profile

TASKS_FIRST = 3
START_S = 300.0  # on a machine with much else to do; these only keep a tour that is stuck from lasting for ever
TASK_S = 900.0
CASH_OUT_S = 300.0
END_S = 30.0
TAKE_BACK_AT = 0.3  # of the fourth task
SHARE_BPS = 3_000


def main(_arguments: Sequence[str]) -> int:
    """Walk the road once; 0 when everything added up."""
    signal.signal(signal.SIGTERM, _told_to_end)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sublet-tour-") as folder:
        profile = Profile(Path(folder))
        with _agent(profile) as process:
            passphrase = secrets.token_hex(16)
            with _guest(profile, process) as guest:
                good = Tour(guest, profile, passphrase).walk()
                guest.post(messages.OwnerQuit())
                good &= guest.wait_for_end(END_S)
    print(f"\n{'Everything added up' if good else 'Something did not add up'}; {time.monotonic() - began:.0f} s in all.")
    return 0 if good else 1


@dataclass(slots=True)
class Tour:
    """One walk. `guest` speaks to the agent; the chain is read beside it, not through it."""

    guest: Guest
    profile: Profile
    passphrase: str

    def walk(self) -> bool:
        """Every step in turn; whether the figures agree."""
        self._settle_in()
        chain = Chain(load_practice(self.profile.practice / "network.json"))
        try:
            friend = self._share(chain)
            self._earn()
            self._take_back()
            return self._cash_out(chain, friend)
        finally:
            chain.close()

    def _settle_in(self) -> None:
        _say("1. A fresh profile: a practice market, a chain and a wallet on this machine")
        if not self.guest.state.wallet.ready:
            self._wait("the wallet", lambda state: state.wallet.ready or state.wallet.needs_passphrase, START_S)
            if not self.guest.state.wallet.ready:
                answer = self.guest.hand_over("unlock", self.passphrase)
                if not answer.ok:
                    raise AppError("The wallet did not open.", answer.detail)
        state = self._wait("the market", lambda state: state.market.connected and state.wallet.chain_ok, START_S)
        device = state.gpu.device
        print(f"   device    {device.name if device else 'none'}")
        print(f"   wallet    {state.wallet.address}")
        print(f"   balance   {phrases.exact(state.wallet.balance or 0)}")

    def _share(self, chain: Chain) -> str:
        """Turn sharing on, and as soon as the GPU is on chain give a part of it away, before it has earned anything."""
        _say("2. One click shares the GPU, and its owner gives a second person a part of it")
        self.guest.post(messages.OwnerTurnedSharing(True))
        self._wait("the sandbox", lambda state: state.readiness.level is not None, START_S)
        ready = self.guest.state.readiness
        print(f"   sandbox   {ready.level}: {sum(check.held for check in ready.checks)} of {len(ready.checks)} probes held")
        state = self._wait("the registration", lambda state: state.gpu.chain_id is not None, START_S)
        account = state.gpu.chain_id or 0
        friend = co_own(chain, self.profile, self.passphrase, account, SHARE_BPS)
        print(f"   GPU {account}     on chain; one transaction of the wallet, with test ether for its gas from the practice chain's")
        print(f"             founder, gives {phrases.share(SHARE_BPS, 10_000)} of it to {friend}")
        return friend

    def _earn(self) -> None:
        _say(f"3. The first {TASKS_FIRST} tasks")
        for count in range(1, TASKS_FIRST + 1):
            state = self._wait(f"task {count}", lambda state, wanted=count: len(_paid(state)) >= wanted, TASK_S)  # type: ignore[misc]
            _tell_task(_paid(state)[-count])

    def _take_back(self) -> None:
        _say("4. The owner wants the GPU back in the middle of a task")
        state = self._wait("a task under way", _under_way, TASK_S)
        held = state.task
        assert held is not None and held.progress is not None  # noqa: S101 - `_under_way` says so
        task_id, before = held.lease.manifest.task_id, len(state.give_backs)
        self.guest.post(messages.OwnerTurnedSharing(False))
        state = self._wait("the GPU", lambda state: len(state.give_backs) > before, TASK_S)
        record = state.give_backs[0]
        print(f"   clicked   at step {held.progress.step} of {held.progress.of}")
        print(f"   GPU back  after {record.stopped_ms:.0f} ms; steps lost: {record.steps_lost}")
        self._wait("the task handed back", lambda state: state.task is None, TASK_S)
        _say("5. Sharing goes on; the same task is finished from its checkpoint")
        self.guest.post(messages.OwnerTurnedSharing(True))
        state = self._wait("the task again", lambda state: any(_is(line, task_id) for line in _paid(state)), TASK_S)
        segments = [line for line in state.history if line.task_id == task_id]
        for line in reversed(segments):
            print(f"   segment   steps {line.first_step} to {line.last_step}: {phrases.exact(line.amount)}, {phrases.paid(line.paid)}")
        _tell_task(segments[0])
        self.guest.post(messages.OwnerTurnedSharing(False))
        self._wait("the end of sharing", lambda state: state.task is None and ledger.earned(state) == 0, TASK_S)

    def _cash_out(self, chain: Chain, friend: str) -> bool:
        _say("6. Cash out everything to a fresh address")
        wallet, fresh = self.guest.state.wallet.address, "0x" + secrets.token_hex(20)
        before, _block = chain.balance(wallet)
        state = self._wait("the books", lambda state: state.wallet.balance == before, CASH_OUT_S)
        name = uuid.uuid4().hex
        self.guest.post(messages.OwnerAskedCashOut(name, fresh, MicroUsd(0)))
        state = self._wait("a quote", lambda state: _stage(state, name) not in (None, Stage.ASKED), CASH_OUT_S)
        held = state.cash_out
        if held is None or held.quote is None or held.stage is not Stage.QUOTED:
            raise AppError("The cash-out was refused.", held.reason if held else "")
        quote = held.quote
        print(f"   leaves    {phrases.exact(quote.amount)}")
        print(f"   fee       {phrases.exact(quote.fee)} ({phrases.share(quote.fee, quote.amount)})")
        if state.wallet.needs_passphrase:
            self.guest.hand_over("spend", self.passphrase)
        self.guest.post(messages.OwnerConfirmedCashOut(name))
        state = self._wait("the transfer", lambda state: _stage(state, name) not in OPEN_STAGES, CASH_OUT_S)
        print(f"   sent      {state.cash_out.transaction if state.cash_out else ''}")
        return self._reckon(chain, (wallet, friend), fresh, before, quote.amount, arrives(quote))

    def _reckon(self, chain: Chain, owners: tuple[str, str], fresh: str, before: int, amount: int, arriving: int) -> bool:
        """Hold every balance against what receipts, rates and shares come to, each rounded as the escrow rounds."""
        _say("7. What the chain says")
        wallet, friend = owners
        after, block = chain.balance(wallet)
        arrived, _block = chain.balance(fresh)
        shared, _block = chain.balance(friend)
        state = self.guest.state
        whole = sum(net(account.redeemed, account.rate, account.fee_bps) for account in state.accounts)
        parts = _parts(chain, owners, block, state)
        checks = (
            ("paid to both owners, as the receipts say", whole, before + shared),
            ("paid to the wallet, seven tenths of each", sum(owner for owner, _friend in parts), before),
            ("paid to the co-owner, three tenths of each", sum(part for _owner, part in parts), shared),
            ("paid to the wallet, as the app says", state.wallet.paid, before),
            ("left in the wallet", before - amount, after),
            ("arrived at the fresh address", arriving, arrived),
        )
        for name, expected, seen in checks:
            print(f"   {name:<44} {phrases.exact(seen):>12}  {'agrees' if expected == seen else 'expected ' + phrases.exact(expected)}")
        confirmed = state.cash_out is not None and state.cash_out.stage is Stage.CONFIRMED
        return confirmed and all(expected == seen for _name, expected, seen in checks)

    def _wait(self, what: str, reached: Callable[[State], bool], timeout_s: float) -> State:
        state = self.guest.wait_for(reached, timeout_s)
        if state is None:
            raise AppError(f"The tour waited {timeout_s:.0f} s for {what} in vain.", f"The agent says: {phrases.why(self.guest.state)}")
        return state


def _parts(chain: Chain, owners: tuple[str, str], block: int, state: State) -> list[tuple[MicroUsd, MicroUsd]]:
    """What each redemption has to pay wallet and co-owner: the worth of its units, less what was paid before, split."""
    wallet, friend = owners
    shared = {(payout.transaction, payout.job_id) for payout, _units in chain.payouts(friend, 0, block)}
    terms = {account.job_id: account for account in state.accounts}
    paid = dict.fromkeys(terms, 0)
    parts = []
    for payout, units in chain.payouts(wallet, 0, block):
        job = terms[payout.job_id]
        worth = net(units, job.rate, job.fee_bps)
        share = SHARE_BPS if (payout.transaction, payout.job_id) in shared else 0  # the grant may come a moment after the first task
        owner, part = split(worth - paid[payout.job_id], (share,))
        parts.append((owner, part))
        paid[payout.job_id] = worth
    return parts


def _told_to_end(number: int, _frame: object) -> None:
    """Leave by the front door, so that the agent, which runs in a folder of the tour's, ends with the tour."""
    raise SystemExit(128 + number)


def _say(line: str) -> None:
    print(f"\n{line}", flush=True)


def _paid(state: State) -> list[TaskRecord]:
    return [line for line in state.history if line.paid is Paid.PAID]


def _is(line: TaskRecord, task_id: str) -> bool:
    return line.task_id == task_id


def _stage(state: State, name: str) -> Stage | None:
    return state.cash_out.stage if state.cash_out is not None and state.cash_out.id == name else None


def _under_way(state: State) -> bool:
    task = state.task
    if task is None or task.phase is not Phase.RUNNING or task.progress is None or task.first_step:
        return False
    return task.progress.step >= TAKE_BACK_AT * task.progress.of


def _tell_task(line: TaskRecord) -> None:
    figures = ", ".join(f"{name} {value:.4g}" for name, value in line.metrics)
    print(f"   task      {line.task_id[:12]}  {phrases.kind(line.kind)}: {line.ended - line.started:.0f} s, {figures}")
    print(f"   paid      {phrases.exact(line.amount)} after the market's fee and the co-owner's part", flush=True)
    print(f"             transaction {line.transaction}", flush=True)


@contextmanager
def _agent(profile: Profile) -> Iterator[subprocess.Popen[bytes]]:
    """A real agent process on this profile, which never asks the owner's keyring."""
    profile.logs.mkdir(parents=True)
    with (profile.logs / "agent.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "desktop_app", "agent", "--no-keyring"],
            env=os.environ | {"SUBLET_HOME": str(profile.root)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield process
        process.wait(END_S)
    finally:
        if process.poll() is None:
            process.terminate()  # so that what it has started ends too, and writes no more into a folder that is being removed
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def _guest(profile: Profile, process: subprocess.Popen[bytes]) -> Iterator[Guest]:
    """A connection to the agent, as soon as it listens."""
    end = time.monotonic() + START_S
    while True:
        try:
            guest = Guest(profile.socket)
            break
        except NoAgent:
            if process.poll() is not None or time.monotonic() > end:
                log = (profile.logs / "agent.log").read_text(errors="replace")[-2_000:]
                raise AppError("The agent did not start.", log or "It said nothing.") from None
            time.sleep(0.1)
    with guest:
        yield guest
