"""Keeps the practice network running beside the agent: started, restarted with growing patience, ended with the agent.

The child watches its standard input: when the agent dies, however it dies, the pipe closes and the network ends itself.
Called by `agent.main` on the practice network only.
"""

import asyncio
import contextlib
import logging
import sys
from pathlib import Path

from desktop_app.wire.networks import Network, load_practice

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
STEADY_S = 20.0
END_PATIENCE_S = 10.0
_LOOK_EVERY_S = 0.1

log = logging.getLogger(__name__)


class Companion:
    """One practice network in `folder`; what it prints goes to `log`."""

    def __init__(self, folder: Path, log: Path) -> None:
        self._folder = folder
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to keep it alive; what an earlier run said of itself is forgotten at once."""
        self._forget()
        self._keeper = asyncio.create_task(self._keep())

    async def network(self) -> Network:
        """Where the network is, once it says so."""
        place = self._folder / "network.json"
        while not place.exists():
            await asyncio.sleep(_LOOK_EVERY_S)
        return load_practice(place)

    async def close(self) -> None:
        """End it: close its input, wait, and kill what does not listen."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        process = self._process
        if process is None or process.returncode is not None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), END_PATIENCE_S)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _keep(self) -> None:
        loop, pause = asyncio.get_running_loop(), FIRST_PAUSE_S
        while True:
            began = loop.time()
            try:
                self._process = await self._spawn()
                await self._process.wait()
            except OSError as error:
                log.warning("the practice network did not start: %s", error)
            pause = FIRST_PAUSE_S if loop.time() - began > STEADY_S else min(pause * 2, LONGEST_PAUSE_S)
            await asyncio.sleep(pause)

    def _forget(self) -> None:
        """Where an earlier run listened; the next one may listen elsewhere."""
        (self._folder / "network.json").unlink(missing_ok=True)

    async def _spawn(self) -> asyncio.subprocess.Process:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._forget()
        with self._log.open("wb") as output:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-m", "desktop_app", "practice", "--attached", str(self._folder),
                stdin=asyncio.subprocess.PIPE, stdout=output, stderr=output,
            )
