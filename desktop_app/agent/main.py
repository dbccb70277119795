"""Starts the agent, introduces its parts to one another, and ends them in order. `sublet agent`; called by `__main__`.

One agent per profile, kept by a lock file that the kernel releases however the agent dies. A signal to stop is the owner's
quit: the GPU is given back first.
"""

import argparse
import asyncio
import contextlib
import fcntl
import logging
import logging.handlers
import os
import signal
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from desktop_app.adapters.keys import PASSPHRASE_FILE, Keys, passphrase_from_file, system_ring
from desktop_app.agent.life import Life
from desktop_app.core.errors import AppError
from desktop_app.core.messages import OwnerQuit
from desktop_app.wire.profile import Profile, default

LOG_BYTES = 5_000_000
LOGS_KEPT = 2

log = logging.getLogger(__name__)


def main(arguments: Sequence[str]) -> int:
    """Run until the owner quits."""
    parser = argparse.ArgumentParser(prog="sublet agent", description="The engine, without a screen.")
    parser.add_argument("--no-keyring", action="store_true", help="never ask the system's keyring; a passphrase opens the wallet")
    chosen = parser.parse_args(arguments)
    profile = default()
    profile.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _only_one(profile.lock):
        _log_to(profile.logs / "agent.log")
        try:
            asyncio.run(_run(profile, keyring=not chosen.no_keyring))
        except Exception:
            log.exception("the agent ends by a fault")
            raise
    return 0


async def _run(profile: Profile, *, keyring: bool) -> None:
    ring = await asyncio.to_thread(system_ring) if keyring else None
    keys = Keys(profile.keys, partial(passphrase_from_file, os.environ), ring)
    life = Life(profile, keys, unattended=ring is not None or bool(os.environ.get(PASSPHRASE_FILE)))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, life.post, OwnerQuit())
    await life.live()


@contextlib.contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    with lock.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AppError("Sublet's agent is already running.", "See how it does with: sublet status") from None
        yield


def _log_to(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=LOGS_KEPT)
    logging.basicConfig(handlers=[handler], level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("urllib3", "nats", "wakepy"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
