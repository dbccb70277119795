"""What the market's adapter must ask of others before it believes anything: who signed a task, what a voucher is worth.

The signatures are the chain adapter's to read, the manifests the wire's; here they are introduced. Called by `agent.life`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from desktop_app.adapters.chain import Chain, escrow_domain, recover_typed
from desktop_app.core.money import Units
from desktop_app.core.task import Manifest
from desktop_app.wire import eip712
from desktop_app.wire.bundle import Refused, parse_manifest
from desktop_app.wire.market import PostedTask, VoucherVerdict
from desktop_app.wire.networks import Network


def judge(network: Network) -> Callable[[PostedTask], Manifest | str]:
    """Parses a posted task and checks that the renter it names signed it; else the reason."""
    domain = escrow_domain(network)

    def verify(job: str, sha256: str, signature: str) -> str | None:
        return recover_typed(eip712.manifest(domain, job, sha256), signature)

    def judged(posted: PostedTask) -> Manifest | str:
        parsed = parse_manifest(posted.manifest.encode(), posted.signature, int(time.time()), verify)
        if isinstance(parsed, Refused):
            return parsed.reason
        return parsed if parsed.task_id == posted.task_id else "the task is posted under another name than its manifest's"

    return judged


def check_voucher(chain: Chain) -> Callable[[VoucherVerdict], Awaitable[str | None]]:
    """Holds a voucher against the escrow: its signature, its units, and whether the job can still pay."""

    async def checked(verdict: VoucherVerdict) -> str | None:
        voucher = eip712.Voucher(verdict.job_id, verdict.gpu_id, Units(verdict.units), verdict.root)
        outcome = await asyncio.to_thread(chain.check_voucher, voucher, verdict.signature)
        return None if outcome.good else outcome.reason

    return checked
