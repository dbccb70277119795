"""The miner hears every transaction, also one that comes in the moment in which a block ends."""

import threading
import time

import pytest

from desktop_app.practice.chain import miner as module
from desktop_app.practice.chain.miner import Miner


class Ledger:
    """Counts blocks; as the first one ends, somebody sends a transaction."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.waiting = 1
        self.blocks = 0

    def has_waiting(self) -> bool:
        return self.waiting > 0

    def mine(self) -> bool:
        with self.changed:
            self.waiting, self.blocks = 0, self.blocks + 1
        if self.blocks == 1:
            threading.Thread(target=self.accept).start()
            time.sleep(0.2)
        return False

    def accept(self) -> None:
        with self.changed:
            self.waiting += 1
            self.changed.notify_all()


def test_a_transaction_that_comes_as_a_block_ends_is_mined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_EVERY", 0.01)
    ledger = Ledger()
    miner = Miner(ledger)  # type: ignore[arg-type]
    miner.start()
    end = time.monotonic() + 30
    while (ledger.waiting or ledger.blocks < 2) and time.monotonic() < end:
        time.sleep(0.01)
    miner.stop()
    assert (ledger.waiting, ledger.blocks) == (0, 2)
