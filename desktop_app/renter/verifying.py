"""From receipts to money: checks who signed and who held the lease, fetches the result, has it judged, signs the voucher.

A voucher is cumulative per (job, GPU); it is written into the account before it is published, and published again, the
same, when nobody can tell whether it was. A result that is wrong is rejected with the reason and not paid. Trouble of the
renter's own (no sandbox, a silent chain) decides nothing: the receipt is looked at again later. Called by the renter.
"""

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from desktop_app.adapters.chain import Chain, escrow_domain, recover_message, recover_typed, same_address
from desktop_app.adapters.market import Session
from desktop_app.adapters.market.blobs import WrongBlob, download
from desktop_app.adapters.market.leases import look
from desktop_app.core.gpu import TIER_NUMBERS, number_of
from desktop_app.core.money import Units
from desktop_app.core.receipts import SignedReceipt, canonical, digest, root
from desktop_app.core.task import Blob, Manifest
from desktop_app.renter.acceptance import Accepted, Delivery, Rejected, RunCheck, decide
from desktop_app.renter.book import Account, Sheet, Shelf, Standing
from desktop_app.wire import eip712
from desktop_app.wire import market as wire
from desktop_app.wire.bundle import parse_manifest
from desktop_app.wire.eip712 import TypedMessage, Voucher

_log = logging.getLogger(__name__)
_MB = 1_000_000
_DIGEST = re.compile(r"0x[0-9a-f]{64}")


class Verifying:
    """One renter's judgement. `sign` signs with its key, `blobs` is its folder, `held_out` the rows nobody else has seen."""

    def __init__(
        self, chain: Chain, sign: Callable[[TypedMessage], str], shelf: Shelf, blobs: Path, held_out: Path, run_check: RunCheck
    ) -> None:
        self._chain = chain
        self._network = chain.network
        self._sign = sign
        self._shelf = shelf
        self._blobs = blobs
        self._held_out = held_out
        self._run_check = run_check

    async def note(self, session: Session, delivered: wire.DeliveredReceipt) -> Sheet | None:
        """Write a receipt down under its task; None when the task is not ours."""
        task_id = delivered.signed.receipt.task_id
        sheet = await self._shelf.sheet(session, task_id)
        if sheet is not None and delivered.signed not in sheet.receipts:
            sheet = msgspec.structs.replace(sheet, receipts=(*sheet.receipts, delivered.signed))
            await self._shelf.put_sheet(session, task_id, sheet)
        return sheet

    async def judge(self, session: Session, sheet: Sheet, delivered: wire.DeliveredReceipt) -> tuple[Sheet, Blob | None]:
        """Settle a final receipt: the sheet as it now is, and the model if a training was paid.

        Raises AppError, or what a broken session raises, when nothing could be decided.
        """
        final = delivered.signed.receipt
        if sheet.standing is Standing.PAID:
            for gpu_id in sheet.gpus:
                await self._publish(session, sheet, final.job_id, gpu_id, final.task_id)
            if final.gpu_id not in sheet.gpus:
                await self._reject(session, final.job_id, (final.gpu_id,), final.task_id, "the task was finished by another GPU")
            return sheet, _model(delivered)
        chain = _chain(sheet.receipts, delivered.signed)
        if sheet.standing is Standing.REJECTED:
            await self._reject(session, final.job_id, tuple({one.receipt.gpu_id for one in chain}), final.task_id, sheet.reason)
            return sheet, None
        stale = await self._stale(session, chain)
        if stale is not None:
            await self._reject(session, final.job_id, (final.gpu_id,), final.task_id, stale)
            return sheet, None
        decision = await self._decide(session, sheet, chain, delivered.result)
        if isinstance(decision, Rejected):
            _log.warning("task %s is not paid: %s", final.task_id, decision.reason)
            sheet = msgspec.structs.replace(sheet, standing=Standing.REJECTED, reason=decision.reason[:500])
            gpus = tuple({one.receipt.gpu_id for one in chain})
            await self._reject(session, final.job_id, gpus, final.task_id, decision.reason)
            await self._shelf.put_sheet(session, final.task_id, sheet)
            return sheet, None
        _log.info("task %s holds: %s", final.task_id, ", ".join(f"{name} {value:.4f}" for name, value in decision.metrics))
        return await self._pay(session, sheet, chain, decision), _model(delivered)

    async def _decide(
        self, session: Session, sheet: Sheet, chain: tuple[SignedReceipt, ...], result: tuple[Blob, ...]
    ) -> Accepted | Rejected:
        manifest = self._manifest(sheet)
        reason = await asyncio.to_thread(self._signatures_refusal, manifest, chain)
        if reason is not None:
            return Rejected(reason)
        if sum(blob.bytes for blob in result) > manifest.limits.output_mb * _MB:
            return Rejected("the result is larger than the task allows")
        files = {blob.role: self._blobs / blob.sha256 for blob in (*manifest.inputs, *result)}
        try:
            for blob in (*manifest.inputs, *result):
                await download(session, blob.sha256, blob.bytes, self._blobs / blob.sha256)
        except WrongBlob as error:
            return Rejected(f"the result cannot be fetched: {error}")
        delivery = Delivery(manifest, tuple(one.receipt for one in chain), result, files)
        try:
            return await asyncio.to_thread(decide, delivery, self._held_out, secrets.randbelow(2**53), self._run_check)
        except ValueError as error:
            return Rejected(f"the check could not be run on the result: {error}")

    def _manifest(self, sheet: Sheet) -> Manifest:
        """The task as it was posted; its own signature is not asked again."""
        raw = sheet.manifest.encode()
        domain = escrow_domain(self._network)

        def verify(job: str, sha256: str, signature: str) -> str | None:
            return recover_typed(eip712.manifest(domain, job, sha256), signature)

        issued = int(msgspec.json.decode(raw, type=dict[str, object])["expires"]) - 1  # type: ignore[call-overload]
        manifest = parse_manifest(raw, sheet.signature, min(issued, int(time.time())), verify)
        if not isinstance(manifest, Manifest):
            raise ValueError(manifest.reason)
        return manifest

    def _signatures_refusal(self, manifest: Manifest, chain: tuple[SignedReceipt, ...]) -> str | None:
        """Why a receipt is not the word of a GPU that may do this work, or None."""
        for one in chain:
            account = one.receipt.gpu_id
            tier = self._chain.tier(account)
            if tier is None:
                return f"there is no GPU account {account} in the registry"
            if tier != TIER_NUMBERS[manifest.tier]:
                return f"GPU {number_of(account)} is of another tier than the task"
            operator = self._chain.operator(account, one.receipt.hardware) if _DIGEST.fullmatch(one.receipt.hardware) else ""
            signer = recover_message(canonical(one.receipt), one.signature)
            if signer is None or not operator or not same_address(signer, operator):
                return f"a receipt is not signed by the operator key of GPU {number_of(account)}"
        return None

    async def _stale(self, session: Session, chain: tuple[SignedReceipt, ...]) -> str | None:
        """Why the receipts are not those of the leases the market gave, or None."""
        found = await look(session, chain[-1].receipt.task_id)
        if found is None:
            return "the market does not know this task"
        grants = {(grant.epoch, grant.gpu_id, grant.step, grant.prev_receipt) for grant in found[0].grants}
        if chain[-1].receipt.epoch != found[0].epoch:
            return "another GPU had taken the task over by then"
        for one in chain:
            receipt = one.receipt
            if (receipt.epoch, receipt.gpu_id, receipt.first_step, receipt.prev) not in grants:
                return "a receipt is from a lease that the market never gave"
        return None

    async def _pay(self, session: Session, sheet: Sheet, chain: tuple[SignedReceipt, ...], decision: Accepted) -> Sheet:
        """Add the units to each GPU's account, sign, and publish."""
        job_id, task_id = chain[-1].receipt.job_id, chain[-1].receipt.task_id
        for gpu_id, units in decision.units:
            account = await self._shelf.account(session, job_id, gpu_id)
            fresh = tuple(digest(one.receipt) for one in chain if one.receipt.gpu_id == gpu_id)
            if units and not set(fresh) & set(account.digests):
                account = await asyncio.to_thread(self._vouch, account, job_id, gpu_id, units, fresh)
                await self._shelf.put_account(session, job_id, gpu_id, account)
        paid = msgspec.structs.replace(sheet, standing=Standing.PAID, gpus=tuple(gpu for gpu, units in decision.units if units))
        await self._shelf.put_sheet(session, task_id, paid)
        for gpu_id in paid.gpus:
            await self._publish(session, paid, job_id, gpu_id, task_id)
        return paid

    def _vouch(self, account: Account, job_id: str, gpu_id: int, units: Units, fresh: tuple[str, ...]) -> Account:
        digests = (*account.digests, *fresh)
        voucher = Voucher(job_id, gpu_id, Units(account.units + units), root(digests))
        signature = self._sign(eip712.voucher(escrow_domain(self._network), voucher))
        return Account(voucher.units, digests, voucher.receipts_root, signature)

    async def _publish(self, session: Session, sheet: Sheet, job_id: str, gpu_id: int, task_id: str) -> None:
        account = await self._shelf.account(session, job_id, gpu_id)
        verdict = wire.VoucherVerdict(
            job_id, gpu_id, account.units, sheet.rate, self._network.fee_bps, account.root, account.signature, (task_id,)
        )
        await session.publish(wire.verdict_subject(gpu_id, job_id), wire.pack(verdict), f"{task_id}.{gpu_id}.{account.units}")

    async def _reject(self, session: Session, job_id: str, gpus: tuple[int, ...], task_id: str, reason: str) -> None:
        for gpu_id in gpus:
            verdict = wire.Rejection(job_id, gpu_id, task_id, reason[:500])
            await session.publish(wire.verdict_subject(gpu_id, job_id), wire.pack(verdict), f"{task_id}.{gpu_id}.no")


def _chain(receipts: tuple[SignedReceipt, ...], final: SignedReceipt) -> tuple[SignedReceipt, ...]:
    """The receipts that the final one goes back to, oldest first."""
    by_digest = {digest(one.receipt): one for one in receipts}
    chain = [final]
    while (before := by_digest.pop(chain[0].receipt.prev, None)) is not None:
        chain.insert(0, before)
    return tuple(chain)


def _model(delivered: wire.DeliveredReceipt) -> Blob | None:
    return next((blob for blob in delivered.result if blob.role == "model"), None)
