"""`Chain`: what the chain says: balances, payouts, jobs, GPUs, vouchers, and how far a cash-out is.

Nothing here signs or spends. Every method may raise AppError when the chain is silent or is not the profile's; all of them
block, so the roots run them in threads. Called by the roots; `relaying.py` builds on it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from desktop_app.adapters.chain import ids
from desktop_app.adapters.chain.client import Client, Reverted
from desktop_app.adapters.chain.refusals import Refused
from desktop_app.core.cashout import Quote
from desktop_app.core.errors import AppError
from desktop_app.core.money import MicroUsd, Rate, Units
from desktop_app.core.state import Payout
from desktop_app.wire import eip712
from desktop_app.wire.eip712 import Voucher
from desktop_app.wire.networks import Network

if TYPE_CHECKING:
    from web3.types import EventData

LONGEST_AUTHORISATION: Final = 7_200
"""Seconds before `valid_before` in which a cash-out's signature can have been made, and so used."""
_SOME_JOBS: Final = 50  # nodes limit how many alternatives a question for events may name


@dataclass(frozen=True, slots=True)
class Job:
    """A job in escrow. `held` is what the escrow still holds of it; `used` counts units redeemed over all GPUs."""

    renter: str
    tier: int
    gpu: int  # 0: any of the tier
    rate: Rate
    fee_bps: int
    units: Units
    used: Units
    held: MicroUsd
    deadline: int  # unix seconds; 0 once closed

    @property
    def is_open(self) -> bool:
        return self.deadline != 0


@dataclass(frozen=True, slots=True)
class RegisteredGpu:
    """A GPU in the registry."""

    id: int
    owner: str
    tier: int
    operator: str
    retired: bool


@dataclass(frozen=True, slots=True)
class VoucherCheck:
    """Whether a voucher would be paid today; `reason` says why not. `rate` and `fee_bps` are its job's."""

    good: bool
    reason: str = ""
    rate: Rate = Rate(0)
    fee_bps: int = 0


@dataclass(frozen=True, slots=True)
class Unused:
    """The cash-out has not happened, and still can."""


@dataclass(frozen=True, slots=True)
class Done:
    """The cash-out is in a block; `confirmations` counts that block too."""

    transaction: str
    confirmations: int


@dataclass(frozen=True, slots=True)
class ExpiredUnused:
    """The cash-out can never happen: its time is over in a block that nothing can undo."""


class Chain:
    """The chain of one network profile, read."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.client = Client(network)

    def connect(self) -> None:
        """Check that the chain is the profile's. Every question does so first anyway."""
        self.client.web3()

    def close(self) -> None:
        """Close all connections."""
        self.client.close()

    def balance(self, address: str) -> tuple[MicroUsd, int]:
        """What an address holds, and the settled block at which it does."""
        function = self.client.contract("TestUSDC").functions.balanceOf(ids.checksummed(address))
        amount, block = self.client.view_at(self.client.settled_block, function)
        return MicroUsd(_int(amount)), block

    def payouts(self, address: str, since_block: int, until_block: int, gpu: int | None = None) -> list[tuple[Payout, Units]]:
        """Money that reached an address from blocks after `since_block` up to `until_block`, oldest first.

        One entry per transaction, job and GPU, so that asking twice gives the same entries. The units are the cumulative
        figure paid up to; 0 for another GPU than `gpu`, if one is named.
        """
        first = max(since_block + 1, self.network.first_block)
        event = self.client.contract("TaskEscrow").events.PayeePaid()
        found: dict[tuple[str, str, int], Payout] = {}
        times: dict[int, int] = {}
        for log in self.client.events(event, [None, None, _topic(address)], first, until_block):
            key = _key(log)
            block = int(log["blockNumber"])
            if block not in times:
                times[block] = self.client.block_time(block)[1]
            before = found[key].amount if key in found else 0
            found[key] = Payout(key[1], MicroUsd(before + _int(log["args"]["amount"])), key[0], block, times[block])
        units = self._units_of(found)
        return [(payout, units[key] if gpu in (None, key[2]) else Units(0)) for key, payout in found.items()]

    def job(self, job_id: str) -> Job | None:
        """A job, or None when there never was one."""
        record = self.client.view(self.client.contract("TaskEscrow").functions.jobs(job_id))
        renter, held, fee_bps, gpu, rate, units, used, deadline, tier = _tuple(record, 9)
        if int(str(renter), 16) == 0:
            return None
        return Job(
            renter=str(renter),
            tier=_int(tier),
            gpu=_int(gpu),
            rate=Rate(_int(rate)),
            fee_bps=_int(fee_bps),
            units=Units(_int(units)),
            used=Units(_int(used)),
            held=MicroUsd(_int(held)),
            deadline=_int(deadline),
        )

    def units_paid(self, job_id: str, gpu: int) -> Units:
        """Cumulative units paid to a GPU from a job."""
        return Units(_int(self.client.view(self.client.contract("TaskEscrow").functions.unitsPaid(job_id, gpu))))

    def owed(self, address: str) -> MicroUsd:
        """What could not be delivered to an address and waits for it."""
        return MicroUsd(_int(self.client.view(self.client.contract("TaskEscrow").functions.owed(ids.checksummed(address)))))

    def check_voucher(self, voucher: Voucher, signature: str) -> VoucherCheck:
        """Whether the escrow would pay this voucher, as the escrow itself sees it; one paid in full already is good too."""
        job = self.job(voucher.job)
        if job is None:
            return VoucherCheck(False, "there is no such job")
        refused = self._would_refuse(voucher, signature)
        if refused is None:
            return VoucherCheck(True, "", job.rate, job.fee_bps)
        # asked after the refusal, because somebody may have redeemed it since the job was looked at
        if self.units_paid(voucher.job, voucher.gpu) != voucher.units:
            reason = refused.reason
        else:
            reason = "" if self._signed(voucher, signature, job) else "neither the renter nor the attestor signed it"
        return VoucherCheck(not reason, reason, job.rate, job.fee_bps)

    def gpu_of_hardware(self, digest: str) -> int | None:
        """The GPU registered for a hardware digest (0x-hex, 32 bytes)."""
        return _int(self.client.view(self.client.contract("GpuRegistry").functions.idOfHardware(digest))) or None

    def gpu(self, gpu_id: int) -> RegisteredGpu | None:
        """A GPU in the registry, or None."""
        functions = self.client.contract("GpuRegistry").functions
        try:
            tier, _, retired, _, _, operator = _tuple(self.client.view(functions.gpu(gpu_id)), 6)
            owner = self.client.view(functions.ownerOf(gpu_id))
        except Reverted:
            return None
        return RegisteredGpu(gpu_id, str(owner), _int(tier), str(operator), bool(retired))

    def payees(self, gpu_id: int) -> tuple[tuple[str, int], ...]:
        """Who is paid for a GPU, with basis points; the owner, who takes residual and dust, first. Empty: no such GPU."""
        try:
            who, bps = _tuple(self.client.view(self.client.contract("GpuRegistry").functions.payees(gpu_id)), 2)
        except Reverted:
            return ()
        return tuple((str(one), _int(share)) for one, share in zip(_tuple(who), _tuple(bps), strict=True))

    def cash_out_status(self, sender: str, to: str, quote: Quote) -> Unused | Done | ExpiredUnused:
        """How far a cash-out is, wherever and however often its signature was sent."""
        nonce = ids.cash_out_nonce(to, quote)
        final, final_time = self.client.block_time(None)
        # the state is taken at a block no older than the final one, so that a node that lags cannot make a payment unseen
        state = self.client.contract("TestUSDC").functions.authorizationState(ids.checksummed(sender), nonce)
        used, head = self.client.view_at(lambda: max(final, self.client.block_number()), state)
        if used:
            return self._spent(sender, nonce, quote, head)
        return ExpiredUnused() if final_time >= quote.valid_before else Unused()

    def _spent(self, sender: str, nonce: str, quote: Quote, head: int) -> Done:
        event = self.client.contract("TestUSDC").events.AuthorizationUsed()
        first = self._block_from(quote.valid_before - LONGEST_AUTHORISATION, head)
        for log in self.client.events(event, [_topic(sender), nonce], first, head):
            return Done("0x" + bytes(log["transactionHash"]).hex(), head - int(log["blockNumber"]) + 1)
        raise AppError("The chain says that the cash-out happened, but not where.", "Ask again in a minute.")

    def _block_from(self, time: int, head: int) -> int:
        """The first block at or after a time, by halving."""
        low, high = self.network.first_block, head
        while low < high:
            middle = (low + high) // 2
            if self.client.block_time(middle)[1] < time:
                low = middle + 1
            else:
                high = middle
        return low

    def _units_of(self, payouts: dict[tuple[str, str, int], Payout]) -> dict[tuple[str, str, int], Units]:
        """The cumulative units of the redemptions that made these payments."""
        event = self.client.contract("TaskEscrow").events.VoucherRedeemed()
        jobs = sorted({job for _, job, _ in payouts})
        blocks = [payout.block for payout in payouts.values()]
        units: dict[tuple[str, str, int], Units] = {}
        for start in range(0, len(jobs), _SOME_JOBS):
            for log in self.client.events(event, [jobs[start : start + _SOME_JOBS]], min(blocks), max(blocks)):
                key = _key(log)
                units[key] = Units(max(units.get(key, 0), _int(log["args"]["units"])))
        missing = payouts.keys() - units.keys()
        if missing:
            raise AppError("The chain shows a payment without its redemption.", "Ask again in a minute, or use another node.")
        return units

    def _signed(self, voucher: Voucher, signature: str, job: Job) -> bool:
        signer = ids.recover_typed(eip712.voucher(ids.escrow_domain(self.network), voucher), signature)
        return signer is not None and any(ids.same_address(signer, one) for one in (job.renter, self.network.attestor))

    def _would_refuse(self, voucher: Voucher, signature: str) -> Refused | None:
        promise = (voucher.job, voucher.gpu, int(voucher.units), voucher.receipts_root)
        try:
            self.client.view(self.client.contract("TaskEscrow").functions.redeem(promise, signature))
        except Reverted as no:
            return no.refused
        return None


def _key(log: "EventData") -> tuple[str, str, int]:
    """Transaction, job, GPU."""
    arguments = log["args"]
    return "0x" + bytes(log["transactionHash"]).hex(), "0x" + bytes(arguments["job"]).hex(), _int(arguments["gpu"])


def _topic(address: str) -> str:
    return "0x" + address.lower().removeprefix("0x").rjust(64, "0")


def _int(value: object) -> int:
    if not isinstance(value, int):
        raise AppError("The chain's node gave no useful answer: a number was expected.", "Use another node.")
    return value


def _tuple(value: object, length: int | None = None) -> tuple[object, ...]:
    if not isinstance(value, (tuple, list)) or length not in (None, len(value)):
        raise AppError("The chain's node gave no useful answer: several values were expected.", "Use another node.")
    return tuple(value)
