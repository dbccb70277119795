"""`Chain`: what the chain says: balances, payouts, jobs, claims, GPUs, vouchers, the policy, and how far a cash-out is.

Nothing here signs or spends. Every method may raise AppError when the chain is silent or is not the profile's; all of them
block, so the roots run them in threads. Called by the roots; `relaying.py` builds on it.
"""

import time
from typing import Final

from desktop_app.adapters.chain import ids
from desktop_app.adapters.chain import payouts as money_in
from desktop_app.adapters.chain.abi import Deed, Unfit
from desktop_app.adapters.chain.bindings import task_escrow
from desktop_app.adapters.chain.client import Client, Reverted
from desktop_app.adapters.chain.records import (
    Bounds,
    Claim,
    ClaimStage,
    Done,
    ExpiredUnused,
    Job,
    Machine,
    Policy,
    RegisteredGpu,
    Unused,
    VoucherCheck,
)
from desktop_app.adapters.chain.refusals import Refused
from desktop_app.core import money
from desktop_app.core.cashout import Quote
from desktop_app.core.errors import AppError
from desktop_app.core.money import MicroUsd, Rate, Units
from desktop_app.core.state import Payout
from desktop_app.wire import eip712
from desktop_app.wire.eip712 import Voucher
from desktop_app.wire.networks import Network

QUOTE_S: Final = 1_800
LONGEST_AUTHORISATION: Final = 7_200
"""Seconds before `valid_before` in which an authorisation can have been made, and so used."""
_NOBODY: Final = "0x" + "00" * 20
_ALLOWANCE: Final = "RateLimitExceeded"


class Chain:
    """The chain of one network profile, read."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.client = Client(network)

    def connect(self) -> None:
        """Check that the chain is the profile's. Every question does so first anyway."""
        self.client.connect()

    def close(self) -> None:
        """Close all connections."""
        self.client.close()

    def balance(self, address: str) -> tuple[MicroUsd, int]:
        """What an address holds, and the settled block at which it does; of several nodes, what most of them say."""
        amount, block = self.client.view_at(self.client.settled_block, self.client.usdc.balance_of(ids.checksummed(address)))
        return MicroUsd(amount), block

    def payouts(self, address: str, since_block: int, until_block: int, gpu: int | None = None) -> list[tuple[Payout, Units]]:
        """Money that reached an address from blocks after `since_block` up to `until_block`, oldest first.

        One entry per transaction, job and GPU account, so that asking twice gives the same entries. An amount of 0 was
        redeemed, but is owed; when it comes after all, its entry has the job "". The units are the cumulative figure paid up
        to; 0 for another account than `gpu`, if one is named.
        """
        first = max(since_block + 1, self.network.first_block)
        return money_in.payouts(self.client, ids.checksummed(address), first, until_block, gpu)

    def job(self, job_id: str) -> Job | None:
        """A job, or None when there never was one."""
        record = self.client.view(self.client.escrow.jobs(job_id))
        if record.renter == _NOBODY:
            return None
        return Job(
            renter=record.renter,
            tier=record.tier,
            gpu=record.gpu,
            rate=Rate(record.rate),
            fee_bps=record.fee_bps,
            units=Units(record.units),
            used=Units(record.used),
            held=MicroUsd(record.held),
            fees=MicroUsd(record.fees),
            deadline=record.deadline,
        )

    def claim(self, job_id: str) -> Claim | None:
        """The claim on a job, or None when there is none and none has barred it."""
        found = self.client.view(self.client.escrow.claims(job_id))
        if found.stage not in {stage.value for stage in ClaimStage}:
            raise AppError("The chain knows a stage of claims that this app does not.", "Update the app.")
        stage = ClaimStage(found.stage)
        return None if stage is ClaimStage.NONE else Claim(stage, found.gpu, Units(found.units), found.due)

    def units_paid(self, job_id: str, account: int) -> Units:
        """Cumulative units paid to a GPU account from a job."""
        return Units(self.client.view(self.client.escrow.units_paid(job_id, account)))

    def owed(self, address: str) -> MicroUsd:
        """What could not be delivered to an address and waits for it."""
        return MicroUsd(self.client.view(self.client.escrow.owed(ids.checksummed(address))))

    def policy(self) -> Policy:
        """The market's figures and names, as they are for jobs opened now."""
        ask, policy = self.client.view, self.client.policy
        return Policy(
            fee_bps=ask(policy.fee_bps()),
            paused=ask(policy.paused()),
            treasury=ask(policy.treasury()),
            arbiter=ask(policy.arbiter()),
            guardian=ask(policy.guardian()),
            owner=ask(policy.owner()),
            allowance=MicroUsd(ask(policy.allowance())),
        )

    def bounds(self, tier: int) -> Bounds:
        """Between what a tier's rate may be locked by jobs to come."""
        found = self.client.view(self.client.policy.bounds(tier))
        return Bounds(Rate(found.floor), Rate(found.ceiling))

    def is_attestor(self, address: str) -> bool:
        """Whether the market trusts an address to vouch for hardware and finished work."""
        return self.client.view(self.client.policy.is_attestor(ids.checksummed(address)))

    def available(self, attestor: str) -> MicroUsd:
        """What an attestor may still have paid out today."""
        return MicroUsd(self.client.view(self.client.policy.available(self.network.escrow, ids.checksummed(attestor))))

    def check_voucher(self, voucher: Voucher, signature: str) -> VoucherCheck:
        """Whether the escrow would pay this voucher, as the escrow itself sees it; one paid in full already is good too.

        So is one for which the attestor's allowance is used up today, if a day's allowance is enough for it.
        """
        job = self.job(voucher.job)
        if job is None:
            return VoucherCheck(False, "there is no such job")
        try:
            refused = self._would_refuse(self.redemption(voucher, signature, job))
        except Unfit as unfit:
            return VoucherCheck(False, unfit.title, job.rate, job.fee_bps)
        if refused is None:
            return VoucherCheck(True, "", job.rate, job.fee_bps)
        # asked after the refusal, because somebody may have redeemed it since the job was looked at
        paid = self.units_paid(voucher.job, voucher.gpu)
        if paid == voucher.units:
            reason = "" if self._signed(voucher, signature, job) else "neither the renter nor an attestor signed it"
        else:
            worth = money.gross(voucher.units, job.rate) - money.gross(paid, job.rate)
            waits = refused.error == _ALLOWANCE and worth <= self.client.view(self.client.policy.allowance())
            reason = "" if waits else refused.reason
        return VoucherCheck(not reason, reason, job.rate, job.fee_bps)

    def redemption(self, voucher: Voucher, signature: str, job: Job) -> Deed[None]:
        """The deed that redeems the voucher: by its renter's signature, or by an attestor's, whoever made this one.

        A signature that no key made is taken for the renter's contract wallet's, or else for that of the profile's attestor.
        """
        escrow = self.client.escrow
        promise = task_escrow.Voucher(voucher.job, voucher.gpu, int(voucher.units), voucher.receipts_root)
        plain = escrow.redeem(promise, signature)
        signer = self._signer(voucher, signature)
        if signer is not None and ids.same_address(signer, job.renter):
            return plain
        if signer is not None and self.is_attestor(signer):
            return escrow.redeem_attested(promise, signer, signature)
        attested = escrow.redeem_attested(promise, ids.checksummed(self.network.attestor), signature)
        unsigned = (self._would_refuse(one) for one in (plain, attested))
        errors = [refused.error if refused is not None else "" for refused in unsigned]
        return attested if errors[0] == "VoucherNotSigned" and errors[1] != "NotAttested" else plain

    def gpu_of_hardware(self, digest: str) -> int | None:
        """The GPU registered for a hardware digest (0x-hex, 32 bytes)."""
        return self.client.view(self.client.registry.machines(digest)).id or None

    def machine(self, digest: str) -> Machine | None:
        """The GPU registered for a hardware digest, and the key that speaks for it now; None: not registered."""
        gpu_id = self.gpu_of_hardware(digest)
        account = None if gpu_id is None else self.account(gpu_id)
        if gpu_id is None or account is None:
            return None
        operator = self.client.view(self.client.registry.operator_of(account, digest))
        return Machine(gpu_id, "" if operator == _NOBODY else operator)

    def gpu(self, gpu_id: int) -> RegisteredGpu | None:
        """A GPU in the registry, or None."""
        try:
            found = self.client.view(self.client.registry.gpu(gpu_id))
        except Reverted:
            return None
        return RegisteredGpu(gpu_id, ids.account_of(gpu_id, found.era), found.holder, found.tier, found.retired)

    def account(self, gpu_id: int) -> int | None:
        """The account that a GPU's work is paid to now, or None when there is no such GPU."""
        try:
            return self.client.view(self.client.registry.account_of(gpu_id))
        except Reverted:
            return None

    def tier(self, account: int) -> int | None:
        """The tier of the work that an account is paid for, or None when there never was such an account."""
        found = self.client.view(self.client.registry.payout(account))
        return None if found.holder == _NOBODY else found.tier

    def operator(self, account: int, digest: str) -> str:
        """The key that signs for an account's work on a piece of hardware, also when the GPU was sold since; "" for none.

        A key that was named in another era speaks for that one, and an era's own key only until another is named.
        """
        found = self.client.view(self.client.registry.machines(digest))
        return found.operator if found.id and ids.account_of(found.id, found.era) == account else ""

    def payees(self, account: int) -> tuple[tuple[str, int], ...]:
        """Who is paid for work on an account, with basis points; the holder, who takes residual and dust, first. Empty: no such account."""
        found = self.client.view(self.client.registry.payees(account))
        return tuple(zip(found.who, found.bps, strict=True))

    def cash_out_status(self, sender: str, to: str, quote: Quote) -> Unused | Done | ExpiredUnused:
        """How far a cash-out is, wherever and however often its signature was sent."""
        nonce = ids.cash_out_nonce(to, quote)
        final, final_time = self.client.block_time(None)
        # the state is taken at a block no older than the final one, so that a node that lags cannot make a payment unseen
        state = self.client.usdc.authorization_state(ids.checksummed(sender), nonce)
        used, head = self.client.view_at(lambda: max(final, self.client.block_number()), state)
        if used:
            done = self.spent(sender, nonce, quote.valid_before, head)
            if done is None:
                raise AppError("The chain says that the cash-out happened, but not where.", "Ask again in a minute.")
            return done
        return ExpiredUnused() if final_time >= quote.valid_before else Unused()

    def quote_end(self) -> int:
        """The unix second to which a cash-out quoted now is good, by this machine's clock or the chain's, whichever is ahead."""
        _number, chain_now = self.client.block_time(None)
        return max(int(time.time()), chain_now) + QUOTE_S

    def spent(self, sender: str, nonce: str, valid_before: int, head: int) -> Done | None:
        """Where an authorisation was used, up to the block `head`; None: nowhere, or it was cancelled."""
        first = self._block_from(valid_before - LONGEST_AUTHORISATION, head)
        for seen in self.client.events(self.client.usdc.authorization_used_logs(ids.checksummed(sender), nonce), first, head):
            return Done(seen.transaction, head - seen.block + 1)
        return None

    def _block_from(self, earliest: int, head: int) -> int:
        """The first block at or after a time, by halving."""
        low, high = self.network.first_block, head
        while low < high:
            middle = (low + high) // 2
            if self.client.block(middle).time < earliest:
                low = middle + 1
            else:
                high = middle
        return low

    def _signed(self, voucher: Voucher, signature: str, job: Job) -> bool:
        signer = self._signer(voucher, signature)
        return signer is not None and (ids.same_address(signer, job.renter) or self.is_attestor(signer))

    def _signer(self, voucher: Voucher, signature: str) -> str | None:
        return ids.recover_typed(eip712.voucher(ids.escrow_domain(self.network), voucher), signature)

    def _would_refuse(self, deed: Deed[None]) -> Refused | None:
        try:
            self.client.view(deed)
        except Reverted as no:
            return no.refused
        return None
