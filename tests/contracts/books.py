"""The market's books as an outsider would keep them: from events alone, then compared with what contracts and token say.

`Books` follows the escrow's money, `registry_books.Accounts` who is paid for which GPU. Called after every test by the
fixture `market`, and between actions by state machines, which may keep one `Books` and let it read on.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from eth_utils.abi import abi_to_signature
from eth_utils.crypto import keccak
from web3.contract import Contract
from web3.types import EventData

from desktop_app.core import money
from tests.contracts.ground import Ground
from tests.contracts.registry_books import Accounts

NONE, CLAIMED, CHALLENGED, BARRED = range(4)
NOTHING = (0, 0, 0, NONE)


@dataclass
class JobBook:
    """What the events say of one job."""

    renter: str
    rate: int
    gpu: int
    tier: int
    held: int
    fees: int
    units: int
    used: int
    deadline: int
    fee_bps: int


class Books:
    """Every micro-dollar in the escrow, and whose it is."""

    def __init__(self, ground: Ground, usdc: Contract, registry: Contract, escrow: Contract) -> None:
        self._ground, self._usdc, self._escrow = ground, usdc, escrow
        self._home = str(escrow.address)
        self._contracts = {str(one.address): one for one in (usdc, registry, escrow)}
        self._names = {str(address): _topics(one) for address, one in self._contracts.items()}
        self._next_block = 0
        self.accounts = Accounts(registry)
        self.jobs: dict[bytes, JobBook] = {}
        self.claims: dict[bytes, tuple[int, int, int, int]] = {}
        """GPU account, units, due and stage."""
        self.units: dict[tuple[bytes, int], int] = defaultdict(int)
        self.owed: dict[str, int] = defaultdict(int)
        self.accrued = 0
        self.put_in: dict[str, int] = defaultdict(int)
        self.due: dict[str, int] = defaultdict(int)
        """What each account should have received from the escrow, but for what it is owed."""
        self.received: dict[str, int] = defaultdict(int)
        self.sent: dict[str, int] = defaultdict(int)
        self._shares: list[tuple[str, int]] = []

    def read(self) -> None:
        """All events since the last time."""
        for log in self._ground.logs(self._contracts.keys(), self._next_block):
            name = self._names[log["address"]].get(bytes(log["topics"][0]))
            if name is not None:
                self._enter(self._contracts[log["address"]].events[name]().process_log(log))
            self._next_block = log["blockNumber"] + 1

    def check(self, gifts: int = 0) -> None:
        """`gifts`: money that was sent to the escrow for no reason."""
        self.read()
        self.accounts.check()
        assert not self._shares, "shares were paid of a payment that never came"
        calls = self._escrow.functions
        for job, book in self.jobs.items():
            assert tuple(calls.jobs(job).call()) == tuple(vars(book).values())
        for job, claim in self.claims.items():
            assert tuple(calls.claims(job).call()) == claim
        for (job, account), units in self.units.items():
            assert calls.unitsPaid(job, account).call() == units
        for payee, amount in self.owed.items():
            assert calls.owed(payee).call() == amount >= 0
        assert calls.feesAccrued().call() == self.accrued >= 0
        for payee in self.due.keys() | self.received.keys():
            assert self.received[payee] == self.due[payee] - self.owed[payee], payee
        assert sum(self.sent.values()) == sum(self.put_in.values()) + gifts
        assert all(self.sent[renter] >= amount for renter, amount in self.put_in.items())
        inside = sum(one.held + one.fees for one in self.jobs.values()) + sum(self.owed.values()) + self.accrued
        assert self._usdc.functions.balanceOf(self._home).call() == inside + gifts

    def _enter(self, event: EventData) -> None:
        values: dict[str, Any] = dict(event["args"])
        if event["address"] == self._home:
            getattr(self, "_on_" + event["event"], lambda **_: None)(**values)
        elif event["address"] != self._usdc.address:
            self.accounts.enter(event["event"], values)
        elif event["event"] == "Transfer":
            self._moved(values["from"], values["to"], values["value"])

    def _moved(self, giver: str, to: str, value: int) -> None:
        if giver == self._home:
            self.received[to] += value
        if to == self._home:
            self.sent[giver] += value

    def _on_JobOpened(self, job: bytes, renter: str, terms: Any, feeBps: int, escrowed: int) -> None:
        assert job not in self.jobs and terms["renter"] == renter and escrowed == money.escrow(terms["units"], terms["rate"])
        fixed = (terms["renter"], terms["rate"], terms["gpu"], terms["tier"])
        self.jobs[job] = JobBook(*fixed, escrowed, 0, terms["units"], 0, terms["deadline"], feeBps)
        self.put_in[renter] += escrowed

    def _on_JobToppedUp(self, job: bytes, units: int, escrowed: int) -> None:
        book = self.jobs[job]
        book.units, book.held = units, book.held + escrowed
        self.put_in[book.renter] += escrowed

    def _on_JobCancelled(self, job: bytes, deadline: int) -> None:
        self.jobs[job].deadline = deadline

    def _on_SharePaid(self, job: bytes, gpu: int, payee: str, amount: int) -> None:
        self._shares.append((payee, amount))
        self.due[payee] += amount

    def _on_VoucherRedeemed(self, job: bytes, gpu: int, holder: str, units: int, amount: int, receiptsRoot: bytes) -> None:
        book, before = self.jobs[job], self.units[job, gpu]
        assert units > before and book.deadline != 0 and book.gpu in (0, gpu & (1 << 40) - 1)
        gross = money.gross(units, book.rate) - money.gross(before, book.rate)
        net = money.net(units, book.rate, book.fee_bps) - money.net(before, book.rate, book.fee_bps)
        tier, whose, shares = self.accounts.payout(gpu)
        parts = money.split(net, tuple(bps for _, bps in shares))
        assert (tier, whose, amount) == (book.tier, holder, parts[0])
        assert self._shares == [(payee, part) for (payee, _), part in zip(shares, parts[1:], strict=True)]
        self._shares = []
        self.units[job, gpu] = units
        book.held, book.fees, book.used = book.held - gross, book.fees + gross - net, book.used + units - before
        assert book.held >= 0 and book.used <= book.units
        self.due[holder] += amount

    def _on_Claimed(self, job: bytes, gpu: int, units: int, receiptsRoot: bytes, due: int) -> None:
        assert self.claims.get(job, NOTHING) == NOTHING and units > self.units[job, gpu]
        self.claims[job] = (gpu, units, due, CLAIMED)

    def _on_Challenged(self, job: bytes, gpu: int, due: int) -> None:
        made, units, _, stage = self.claims[job]
        assert (made, stage) == (gpu, CLAIMED)
        self.claims[job] = (gpu, units, due, CHALLENGED)

    def _on_ClaimEnded(self, job: bytes, gpu: int, units: int, barred: bool) -> None:
        assert self.claims[job][0] == gpu and self.units[job, gpu] == units
        self.claims[job] = (0, 0, 0, BARRED if barred else NONE)

    def _on_PayeeOwed(self, payee: str, amount: int) -> None:
        self.owed[payee] += amount

    def _on_OwedWithdrawn(self, account: str, amount: int) -> None:
        self.owed[account] -= amount

    def _on_JobClosed(self, job: bytes, refund: int, fees: int) -> None:
        book = self.jobs[job]
        assert (refund, fees) == (book.held, book.fees)
        book.held = book.fees = book.deadline = 0
        self.accrued += fees
        self.due[book.renter] += refund

    def _on_FeesCollected(self, job: bytes, amount: int) -> None:
        assert amount == (self.jobs[job].fees if job in self.jobs else 0)
        if job in self.jobs:
            self.jobs[job].fees = 0
        self.accrued += amount

    def _on_FeesSwept(self, treasury: str, amount: int) -> None:
        assert amount == self.accrued
        self.accrued = 0
        self.due[treasury] += amount


def _topics(contract: Contract) -> dict[bytes, str]:
    """Names of a contract's events by their first topic."""
    found = {}
    for entry in contract.abi:
        if entry["type"] == "event":
            found[keccak(text=abi_to_signature(entry))] = entry["name"]
    return found
