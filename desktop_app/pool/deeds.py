"""Each signed request is one deed, however often it is brought, by whomever, to whichever of the market's pools.

A deed is known by who signed and the nonce that the chain takes once. Its record in the bucket `deeds` says that some pool is at
it, or what came of it; whoever asks again waits for the same answer. The claim is short and renewed while the work goes on, so
that of a pool that dies soon runs out, and the next one looks at the chain before it sends anything. Called by the pool's office.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable

from desktop_app.adapters.chain import Mined, Refused
from desktop_app.adapters.market import Session
from desktop_app.core.errors import AppError
from desktop_app.wire import market as wire
from desktop_app.wire import pooling
from desktop_app.wire.market import Refusal
from desktop_app.wire.pooling import Deed

TAKEN_S = 20
RENEW_S = 5.0
AFTER_TROUBLE_S = 15  # what was sent through a chain that then fell silent may still arrive
WAIT_S = 60.0
_LOOK_S = 0.2

UNDER_WAY = Refusal("this is being done already; ask again in a minute", under_way=True)

_log = logging.getLogger(__name__)


async def once(session: Session, key: str, work: Callable[[], Awaitable[wire.Answer]]) -> wire.Answer:
    """Do `work`, unless it was done or is being done under this key; then its answer. A refusal is no deed and is not kept."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        deed, revision = await _look(session, key)
        if deed.answer is not None:
            return deed.answer
        if deed.taken_until > time.time():
            await asyncio.sleep(_LOOK_S)
            continue
        claimed = await _write(session, key, Deed(int(time.time()) + TAKEN_S), revision)
        if claimed is not None:
            return await _do(session, key, claimed, work)
    return UNDER_WAY


def sent(outcome: Mined | Refused) -> wire.Answer:
    """The answer to who asked for a deed: its transaction, or the chain's no."""
    return Refusal(outcome.reason) if isinstance(outcome, Refused) else wire.Sent(outcome.transaction)


async def _do(session: Session, key: str, claim: int, work: Callable[[], Awaitable[wire.Answer]]) -> wire.Answer:
    doing = asyncio.ensure_future(work())
    try:
        while not (await asyncio.wait({doing}, timeout=RENEW_S))[0]:
            claim = await _renew(session, key, claim)
        answer = doing.result()
    except AppError:
        await _write(session, key, Deed(int(time.time()) + AFTER_TROUBLE_S), claim)
        raise
    finally:
        doing.cancel()
    done = Deed() if isinstance(answer, Refusal) else Deed(answer=answer)
    if await _write(session, key, done, claim) is None:
        _log.warning("a deed took longer than its claim; the chain has it once all the same")
    return answer


async def _renew(session: Session, key: str, claim: int) -> int:
    """The revision of the renewed claim; the old one's when the market did not take it, since the work goes on all the same."""
    with contextlib.suppress(AppError):
        return await _write(session, key, Deed(int(time.time()) + TAKEN_S), claim) or claim
    return claim


async def _look(session: Session, key: str) -> tuple[Deed, int]:
    entry = await session.read(pooling.DEEDS, key)
    if entry is None:
        return Deed(), 0
    deed = wire.unpack(entry.value, Deed, pooling.MOST_DEED)
    return (Deed() if isinstance(deed, Refusal) else deed), entry.revision


async def _write(session: Session, key: str, deed: Deed, revision: int) -> int | None:
    return await session.write(pooling.DEEDS, key, wire.pack(deed), revision)
