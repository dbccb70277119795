"""`Relayer`: brings other people's signatures to the chain and pays the gas. It can delay, and nothing else.

Every deed is safe to ask for twice: one that was done before is a success that sends nothing. A contract's no comes back as
`Refused`; AppError means that the chain is silent, slow, or not the profile's. All methods block for as long as a block
takes, so the roots run them in threads. Called by the pool, by the owner's app as a fallback, and by the practice root.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from desktop_app.adapters.chain import ids
from desktop_app.adapters.chain.abi import Deed, Unfit
from desktop_app.adapters.chain.bindings import task_escrow
from desktop_app.adapters.chain.flights import Sign
from desktop_app.adapters.chain.reading import Chain
from desktop_app.adapters.chain.records import ClaimStage, Done
from desktop_app.adapters.chain.refusals import Refused, explain
from desktop_app.adapters.chain.sending import WAIT_S, Mined, Sender
from desktop_app.core.cashout import Quote
from desktop_app.core.money import MicroUsd, Units
from desktop_app.wire.eip712 import Registration, Terms, Voucher

T = TypeVar("T")
CASH_OUT_GAS: Final = 130_000
"""A cash-out with a fee, to a new holder, with a margin."""
REDEEM_GAS: Final = 95_000
"""The first redemption of a job for a GPU."""
ALARM_REDEMPTIONS: Final = 200
_WEI: Final = 10**18


@dataclass(frozen=True, slots=True)
class Settled:
    """A batch that was paid, but for the rows that could not be; one that was paid before is no such row."""

    mined: Mined
    skipped: tuple[tuple[Voucher, Refused], ...]


class Relayer:
    """One address that pays gas for others on one chain."""

    def __init__(self, chain: Chain, address: str, sign: Sign, wait_s: float = WAIT_S) -> None:
        self._chain = chain
        self._client = chain.client
        self._sender = Sender(chain.client, address, sign, wait_s)

    @property
    def address(self) -> str:
        """Who pays the gas and receives the fees."""
        return self._sender.address

    def ether(self) -> int:
        """What is left for gas, in wei."""
        return self._sender.ether()

    def ether_alarm(self) -> str | None:
        """A sentence for whoever runs this, when what is left does not pay for some two hundred redemptions; None: all is well."""
        left, each = self._sender.ether(), REDEEM_GAS * self._sender.price_now()
        if left >= ALARM_REDEMPTIONS * each:
            return None
        return f"{self.address} has {left / _WEI:.6f} ether left for gas: about {left // max(each, 1)} redemptions. Send it some."

    def gas_cost(self, gas: int) -> int:
        """The most that this much gas may cost now, in wei."""
        return gas * self._sender.gas_price()[0]

    def relay_fee(self, gas: int = CASH_OUT_GAS) -> MicroUsd:
        """What carrying `gas` is worth now, rounded up, and never less than the profile's floor."""
        network = self._chain.network
        cost = -(-self.gas_cost(gas) * network.eth_usd // _WEI)
        return MicroUsd(max(network.relayer_fee_floor, cost))

    def send(self, deed: Deed[T]) -> Mined | Refused:
        """Anything else that the bindings can say, done once; the address answers for it."""
        return self._sender.send(deed)

    def register(self, registration: Registration, attestor: str, signature: str) -> Mined | Refused:
        """Put a GPU into the registry on the attestor's signature; its id is `Chain.gpu_of_hardware` afterwards."""
        deed = self._client.registry.register(
            ids.checksummed(registration.owner), registration.hardware, registration.tier,
            ids.checksummed(registration.operator), registration.deadline, ids.checksummed(attestor), signature,
        )  # fmt: skip

        def done(no: Refused) -> bool:
            taken = self._chain.gpu(self._chain.gpu_of_hardware(registration.hardware) or 0)
            return no.error == "HardwareTaken" and taken is not None and ids.same_address(taken.owner, registration.owner)

        return self._unless_done(deed, done)

    def set_tier(self, gpu_id: int, tier: int, deadline: int, attestor: str, signature: str) -> Mined | Refused:
        """Put a GPU into another tier on the attestor's signature over its account."""

        def done(_: Refused) -> bool:
            gpu = self._chain.gpu(gpu_id)
            return gpu is not None and gpu.tier == tier

        return self._unless_done(self._client.registry.set_tier(gpu_id, tier, deadline, ids.checksummed(attestor), signature), done)

    def open_job(self, terms: Terms, valid_before: int, signature: str) -> Mined | Refused:
        """Open and fund a job on the renter's signature (`ids.funding_typed`)."""
        deed = self._client.escrow.open_with_authorization(_terms(terms), 0, valid_before, signature)
        return self._unless_done(deed, lambda no: no.error == "JobExists")

    def top_up(self, job_id: str, units: Units, salt: str, valid_before: int, signature: str) -> Mined | Refused:
        """Add units to a job on the renter's signature (`ids.top_up_typed`)."""
        outcome = self._sender.send(self._client.escrow.top_up_with_authorization(job_id, int(units), salt, 0, valid_before, signature))
        job = self._chain.job(job_id) if isinstance(outcome, Refused) else None
        if job is not None:
            nonce = ids.top_up_nonce(self._chain.network, job_id, units, salt)
            used = self._chain.spent(job.renter, nonce, valid_before, self._client.block_number())
            return outcome if used is None else _already(used.transaction)
        return outcome

    def cancel(self, job_id: str) -> Mined | Refused:
        """Call a job off of which nothing has been paid. Only its renter can: this address has to be the renter's."""
        job = self._chain.job(job_id)
        deed = self._client.escrow.cancel_unstarted(job_id)
        if job is not None and job.is_open and job.used == 0 and self._client.block("latest").time > job.deadline:
            return _already()  # it would only be said again
        return self._unless_done(deed, lambda no: no.error == "JobNotOpen" and job is not None)

    def close_job(self, job_id: str) -> Mined | Refused:
        """Give the renter what was not run."""
        deed = self._client.escrow.close(job_id)
        return self._unless_done(deed, lambda no: no.error == "JobNotOpen" and self._chain.job(job_id) is not None)

    def redeem(self, voucher: Voucher, signature: str) -> Mined | Refused:
        """Have a voucher paid out, whether the renter signed it or an attestor."""
        job = self._chain.job(voucher.job)
        if job is None:
            return Refused("JobNotOpen", "there is no such job")
        try:
            deed = self._chain.redemption(voucher, signature, job)
        except Unfit as unfit:
            return Refused("", unfit.title)
        return self._unless_done(deed, lambda no: no.error in ("VoucherStale", "JobNotOpen") and self._paid(voucher))

    def settle_batch(self, vouchers: Sequence[Voucher], attestor: str, signature: str) -> Settled | Refused:
        """Have many vouchers paid out on one signature of an attestor (`ids.batch_typed`).

        Sends nothing when no row can be paid. What is skipped, and why, comes back with the rest.
        """
        rows = {(one.job.lower(), one.gpu): one for one in vouchers}
        if vouchers and not any(self._payable(one) for one in vouchers):
            closed = tuple((one, Refused("JobNotOpen", "this job is closed, or never was")) for one in vouchers if not self._paid(one))
            return Settled(_already(), closed)
        batch = tuple(_voucher(one) for one in vouchers)
        outcome = self._sender.send(self._client.escrow.settle_batch_signed(batch, ids.checksummed(attestor), signature))
        if isinstance(outcome, Refused):
            return outcome
        wanted = self._client.escrow.row_skipped_logs().event
        events = [log.read(wanted).event for log in outcome.logs if log.topics[:1] == (wanted.topic,)]
        skipped = [(rows[one.job, one.gpu], explain(one.reason)) for one in events if (one.job, one.gpu) in rows]
        return Settled(outcome, tuple((row, no) for row, no in skipped if not self._paid(row)))

    def claim(self, terms: Terms, work: Voucher, signature: str, hardware: str = "0x" + "00" * 32) -> Mined | Refused:
        """Claim work that nobody vouched for; `hardware` is the GPU's digest when its operator signed, and not its holder."""
        deed = self._client.escrow.claim(_terms(terms), _voucher(work), hardware, signature)

        def done(no: Refused) -> bool:
            made = self._chain.claim(work.job) if no.error == "WrongStage" else None
            return self._paid(work) or (made is not None and (made.gpu, made.units) == (work.gpu, work.units))

        return self._unless_done(deed, done)

    def challenge(self, job_id: str, signature: str) -> Mined | Refused:
        """Object to the claim on a job, on the renter's signature."""

        def done(no: Refused) -> bool:
            made = self._chain.claim(job_id) if no.error == "WrongStage" else None
            return made is not None and made.stage in (ClaimStage.CHALLENGED, ClaimStage.BARRED)

        return self._unless_done(self._client.escrow.challenge(job_id, signature), done)

    def finalize(self, job_id: str) -> Mined | Refused:
        """Pay a claim whose time is over, or drop one that the arbiter left undecided; nothing, when there is none."""
        return self._unless_done(self._client.escrow.finalize(job_id), lambda no: no.error == "WrongStage")

    def cash_out(self, sender: str, to: str, quote: Quote, signature: str) -> Mined | Refused:
        """Carry an owner's cash-out; this address receives the fee."""
        outcome = self._sender.send(
            self._client.cash_out.cash_out(
                ids.checksummed(sender), ids.checksummed(to), int(quote.amount), int(quote.fee),
                quote.salt, 0, quote.valid_before, signature,
            )
        )  # fmt: skip
        if isinstance(outcome, Refused):
            status = self._chain.cash_out_status(sender, to, quote)
            if isinstance(status, Done):
                return _already(status.transaction)
        return outcome

    def withdraw_owed(self, address: str) -> Mined | Refused:
        """Deliver what waits for an address; nothing, when nothing does."""
        return self._unless_done(self._client.escrow.withdraw_owed(ids.checksummed(address)), lambda no: no.error == "NothingOwed")

    def sweep_fees(self, jobs: Sequence[str] = ()) -> Mined | Refused:
        """Collect the fees of these jobs, and send them and all collected before to the treasury; nothing, when there are none."""
        return self._sender.send(self._client.escrow.sweep_fees(tuple(jobs)), needless=lambda amount: amount == 0)

    def mint(self, to: str, amount: MicroUsd) -> Mined | Refused:
        """Make test money; only the practice deployer can, and only with TestUSDC. Not safe to ask for twice: it mints twice."""
        return self._sender.send(self._client.usdc.mint(ids.checksummed(to), int(amount)), once=False)

    def _unless_done(self, deed: Deed[T], done: Callable[[Refused], bool]) -> Mined | Refused:
        outcome = self._sender.send(deed)
        return _already() if isinstance(outcome, Refused) and done(outcome) else outcome

    def _paid(self, voucher: Voucher) -> bool:
        return self._chain.units_paid(voucher.job, voucher.gpu) >= voucher.units

    def _payable(self, voucher: Voucher) -> bool:
        job = self._chain.job(voucher.job)
        return job is not None and job.is_open and not self._paid(voucher)


def _terms(terms: Terms) -> task_escrow.Terms:
    return task_escrow.Terms(
        ids.checksummed(terms.renter), terms.tier, terms.gpu, terms.rate, int(terms.units),
        terms.deadline, terms.window, terms.spec_hash, terms.salt,
    )  # fmt: skip


def _voucher(voucher: Voucher) -> task_escrow.Voucher:
    return task_escrow.Voucher(voucher.job, voucher.gpu, int(voucher.units), voucher.receipts_root)


def _already(transaction: str = "") -> Mined:
    return Mined(transaction, 0, 0, already=True)
