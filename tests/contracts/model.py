"""The market's books in plain Python: what every call must do to every balance, written from the rules and not from the code.

Each method does what the contract's call of the same name does at unix second `now`, or raises `Refusal` with the name of the
error the contract must give, and then has changed nothing. Called by `life`, which holds the chain to it after every step.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from desktop_app.core.money import escrow, fee, gross, split
from desktop_app.wire.eip712 import Terms
from tests.contracts.model_gpus import Gpus, Payout, Refusal, need

DAY = 86_400
ARBITER_TIME = 14 * DAY
MAX_WINDOW = 30 * DAY
MAX_ESCROW = 1 << 54
ESCROW = "escrow"
"""The escrow's own name in `Model.money`."""

Row = tuple[bytes, int, int]
"""A voucher without its root: job, account, cumulative units."""


@dataclass
class Job:
    terms: Terms
    units: int
    held: int
    deadline: int
    fee_bps: int
    used: int = 0
    fees: int = 0


@dataclass(frozen=True)
class Claim:
    account: int
    units: int
    due: int
    challenged: bool = False


@dataclass(frozen=True)
class Payment:
    """What a voucher adds: `worth` leaves the job's escrow, `cut` of it is the fee."""

    worth: int
    cut: int
    payout: Payout


@dataclass
class Bucket:
    """What an attestor has drawn of the day's allowance, refilling evenly."""

    used: int = 0
    at: int = 0


@dataclass
class Model:
    """Everything the chain must agree with, in whole micro-dollars."""

    treasury: str
    fee_bps: int
    allowance: int
    gpus: Gpus = field(default_factory=Gpus)
    money: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    owed: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    paid: dict[tuple[bytes, int], int] = field(default_factory=lambda: defaultdict(int))
    jobs: dict[bytes, Job] = field(default_factory=dict)
    claims: dict[bytes, Claim] = field(default_factory=dict)
    barred: set[bytes] = field(default_factory=set)
    accrued: int = 0
    frozen: set[str] = field(default_factory=set)
    halted: bool = False
    """Whether the stablecoin is paused."""
    closed_to_new: bool = False
    bounds: dict[int, tuple[int, int]] = field(default_factory=dict)
    trusted: set[str] = field(default_factory=set)
    """The attestors."""
    drawn: dict[str, Bucket] = field(default_factory=lambda: defaultdict(Bucket))

    def register(self, owner: str, hardware: bytes, tier: int, operator: str, attestor: str) -> None:
        self.gpus.require_new(hardware)
        need(attestor in self.trusted, "NotAttested")
        self.gpus.register(owner, hardware, tier, operator)

    def set_tier(self, gpu: int, tier: int, attestor: str) -> None:
        need(attestor in self.trusted, "NotAttested")
        self.gpus.set_tier(gpu, tier)

    def open(self, job: bytes, terms: Terms, now: int) -> None:
        sound = 0 < terms.units < 2**48 and 0 < terms.rate < 2**48 and now < terms.deadline < 2**40
        need(sound and 0 <= terms.window <= (MAX_WINDOW if terms.gpu else 0), "TermsOutOfRange")
        need(job not in self.jobs, "JobExists")
        amount = escrow(terms.units, terms.rate)
        need(amount <= MAX_ESCROW, "TermsOutOfRange")
        need(not self.closed_to_new, "MarketPaused")
        floor, ceiling = self.bounds.get(terms.tier, (0, 0))
        need(floor <= terms.rate <= ceiling, "RateOutOfBounds")
        self._move(terms.renter, ESCROW, amount)
        self.jobs[job] = Job(terms, int(terms.units), amount, terms.deadline, self.fee_bps)

    def top_up(self, job: bytes, units: int, now: int) -> None:
        held = self._open_job(job)
        need(now <= held.deadline, "TooLate")
        need(units > 0 and held.units + units < 2**48, "TermsOutOfRange")
        whole = escrow(held.units + units, held.terms.rate)
        need(whole <= MAX_ESCROW, "TermsOutOfRange")
        amount = whole - escrow(held.units, held.terms.rate)
        self._move(held.terms.renter, ESCROW, amount)
        held.units += units
        held.held += amount

    def cancel(self, job: bytes, now: int) -> None:
        held = self._open_job(job)
        need(held.used == 0 and job not in self.claims, "JobStarted")
        held.deadline = min(held.deadline, now)

    def close(self, job: bytes, now: int) -> None:
        held = self._open_job(job)
        need(held.used == held.units or now > held.deadline + DAY, "TooEarly")
        need(job not in self.claims, "JobStarted")
        rest, self.accrued = held.held, self.accrued + held.fees
        held.held = held.fees = held.deadline = 0
        self._push(held.terms.renter, rest)

    def redeem(self, row: Row) -> None:
        self._pay(row, self._weigh(row))

    def redeem_attested(self, row: Row, attestor: str, now: int) -> None:
        payment = self._weigh(row)
        need(attestor in self.trusted, "NotAttestor")
        need(payment.worth <= self.available(attestor, now), "RateLimitExceeded")
        self._pay(row, payment)
        self._draw(attestor, payment.worth, now)

    def batch(self, rows: Sequence[Row], attestor: str, now: int) -> list[str]:
        """Pays what can be paid; returns each row's refusal, empty for a row that was paid."""
        need(attestor in self.trusted, "NotAttestor")
        sum_, most, said = 0, self.available(attestor, now), []
        for row in rows:
            try:
                payment = self._weigh(row)
                need(payment.worth <= most - sum_, "RateLimitExceeded")
                self._pay(row, payment)
                sum_ += payment.worth
                said.append("")
            except Refusal as refusal:
                said.append(refusal.error)
        self._draw(attestor, sum_, now)
        return said

    def claim(self, row: Row, signer: str, hardware: bytes, now: int) -> None:
        job, account, units = row
        held = self._open_job(job)
        need(held.terms.window > 0 and job not in self.barred, "NoClaims")
        need(job not in self.claims, "WrongStage")
        need(now <= held.deadline + DAY, "TooLate")
        self._voucher_fits(held, row)
        payout = self._payout(account, held)
        need(signer in (payout.holder, self.gpus.operator_of(account, hardware)), "ClaimNotSigned")
        self.claims[job] = Claim(account, units, now + held.terms.window)

    def challenge(self, job: bytes, now: int) -> None:
        made = self._claimed(job, challenged=False)
        need(now <= made.due, "TooLate")
        self.claims[job] = Claim(made.account, made.units, now + ARBITER_TIME, True)

    def resolve(self, job: bytes, units: int, now: int) -> None:
        made = self._claimed(job, challenged=True)
        need(now <= made.due, "TooLate")
        need(units <= made.units, "JobOverrun")
        self._end(job, made, units, units < made.units)

    def finalize(self, job: bytes, now: int) -> None:
        made = self._claimed(job)
        need(now > made.due, "TooEarly")
        self._end(job, made, 0 if made.challenged else made.units, made.challenged)

    def withdraw_owed(self, account: str) -> None:
        amount = self.owed[account]
        need(amount > 0, "NothingOwed")
        self._move(ESCROW, account, amount)
        self.owed[account] = 0

    def sweep(self, jobs: Sequence[bytes]) -> None:
        known = {one: self.jobs[one] for one in jobs if one in self.jobs}
        self._move(ESCROW, self.treasury, self.accrued + sum(one.fees for one in known.values()))
        self.accrued = 0
        for one in known.values():
            one.fees = 0

    def cash_out(self, sender: str, to: str, relayer: str, amount: int, charge: int) -> None:
        need(charge < amount, "FeeNotBelowAmount")
        need(not self.halted, "EnforcedPause")
        need(sender not in self.frozen, "AccountBlacklisted")
        need(self.money[sender] >= amount, "ERC20InsufficientBalance")
        need(to not in self.frozen and (charge == 0 or relayer not in self.frozen), "AccountBlacklisted")
        self.money[sender] -= amount
        self.money[to] += amount - charge
        self.money[relayer] += charge

    def in_escrow(self) -> int:
        """What the books say the escrow must hold; it is also `money[ESCROW]`."""
        return sum(one.held + one.fees for one in self.jobs.values()) + self.accrued + sum(self.owed.values())

    def _open_job(self, job: bytes) -> Job:
        need(job in self.jobs and self.jobs[job].deadline > 0, "JobNotOpen")
        return self.jobs[job]

    def _claimed(self, job: bytes, challenged: bool | None = None) -> Claim:
        made = self.claims.get(job)
        if made is None or challenged not in (None, made.challenged):
            raise Refusal("WrongStage")
        return made

    def _voucher_fits(self, held: Job, row: Row) -> None:
        job, account, units = row
        need(held.terms.gpu in (0, account % 2**40), "WrongGpu")
        before = self.paid[job, account]
        need(units > before, "VoucherStale")
        need(units - before <= held.units - held.used, "JobOverrun")

    def _weigh(self, row: Row) -> Payment:
        """What a voucher is worth now, or why nothing."""
        job, account, units = row
        held = self._open_job(job)
        self._voucher_fits(held, row)
        payout = self._payout(account, held)
        before, rate, bps = self.paid[job, account], held.terms.rate, held.fee_bps
        worth = gross(units, rate) - gross(before, rate)
        return Payment(worth, fee(gross(units, rate), bps) - fee(gross(before, rate), bps), payout)

    def _payout(self, account: int, held: Job) -> Payout:
        payout = self.gpus.payout(account)
        if payout is None:
            raise Refusal("NoSuchAccount")
        need(payout.tier == held.terms.tier, "WrongTier")
        return payout

    def _pay(self, row: Row, payment: Payment) -> None:
        job, account, units = row
        held, payout = self.jobs[job], payment.payout
        held.held -= payment.worth
        held.fees += payment.cut
        held.used += units - self.paid[job, account]
        self.paid[job, account] = units
        parts = split(payment.worth - payment.cut, tuple(bps for _, bps in payout.shares))
        for who, part in zip((payout.holder, *(who for who, _ in payout.shares)), parts, strict=True):
            self._push(who, part)

    def _end(self, job: bytes, made: Claim, units: int, barred: bool) -> None:
        held, before = self.jobs[job], self.paid[job, made.account]
        units = min(units, before + held.units - held.used)
        del self.claims[job]
        if barred:
            self.barred.add(job)
        if units > before:
            row = (job, made.account, units)
            self._pay(row, self._weigh(row))

    def available(self, attestor: str, now: int) -> int:
        """What the attestor may still have paid out."""
        bucket = self.drawn[attestor]
        return max(0, self.allowance - self._still_used(bucket, now))

    def _draw(self, attestor: str, amount: int, now: int) -> None:
        if amount:
            bucket = self.drawn[attestor]
            self.drawn[attestor] = Bucket(self._still_used(bucket, now) + amount, now)

    def _still_used(self, bucket: Bucket, now: int) -> int:
        return max(0, bucket.used - (now - bucket.at) * self.allowance // DAY)

    def _push(self, payee: str, amount: int) -> None:
        if amount == 0:
            return
        if self.halted or payee in self.frozen:
            self.owed[payee] += amount
        else:
            self.money[ESCROW] -= amount
            self.money[payee] += amount

    def _move(self, sender: str, to: str, amount: int) -> None:
        need(not self.halted, "EnforcedPause")
        need(sender not in self.frozen and to not in self.frozen, "AccountBlacklisted")
        need(self.money[sender] >= amount, "ERC20InsufficientBalance")
        self.money[sender] -= amount
        self.money[to] += amount
