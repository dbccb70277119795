"""Mines when there is something to mine: the first transaction at once, then at most one block a second.

One thread that sleeps until a transaction comes; it never polls. Started by `serve`.
"""

import logging
import threading
import time

from desktop_app.practice.chain.ledger import Ledger

_log = logging.getLogger(__name__)

BLOCK_EVERY = 1.0
"""Seconds between two blocks, at least."""
AFTER_TROUBLE = 5.0
"""Seconds before mining is tried again when a block could not be written."""


class Miner:
    """The mining thread."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="miner")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread after the block it is at."""
        with self._ledger.changed:
            self._stopping = True
            self._ledger.changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        # the lock is let go only while waiting, so that a transaction that comes as a block ends is never overheard
        with self._ledger.changed:
            work = self._ledger.has_waiting()  # what the last run left waiting is mined first
            earliest = time.monotonic()
            while True:
                if not work and not self._stopping:
                    self._ledger.changed.wait()
                while not self._stopping and (left := earliest - time.monotonic()) > 0:
                    self._ledger.changed.wait(left)
                if self._stopping:
                    return
                work, pause = self._mine()
                earliest = time.monotonic() + pause

    def _mine(self) -> tuple[bool, float]:
        """One block; says whether more is to be mined, and after how many seconds."""
        try:
            return self._ledger.mine(), BLOCK_EVERY
        except Exception:
            # a full disk, most likely: nothing is lost, since what waits is still in the pool
            _log.exception("A block could not be written; trying again in %.0f seconds", AFTER_TROUBLE)
            return True, AFTER_TROUBLE
