"""Ending tasks for certain. Before Python 3.12 `asyncio.wait_for`, on which the client library is built, can swallow a
cancellation that comes in the moment in which the awaited thing is done; a task so spared would run, and be waited for, for ever.

So whoever ends a task asks again until it has ended, and whoever loops looks whether it was asked. Used in this folder, by the
pool and the renter.
"""

import asyncio
from collections.abc import Coroutine

_ASK_AGAIN_S = 1.0


async def end(*tasks: "asyncio.Future[None]") -> None:
    """Cancel tasks and wait until they have ended; what they raised is not raised here."""
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_ASK_AGAIN_S)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not complain


def heed_cancellation() -> None:
    """Raise CancelledError if the running task was asked to end and that was swallowed."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def together(*works: Coroutine[object, object, None]) -> None:
    """Run all until the first one ends or fails, then end the others and raise what it raised."""
    tasks = [asyncio.get_running_loop().create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end(*tasks)
    for task in done:
        task.result()
