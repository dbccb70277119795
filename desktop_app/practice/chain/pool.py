"""Transactions that were accepted and wait to be mined.

Pure bookkeeping: per sender in nonce order, over all in the order they came. A second transaction with the same nonce
replaces the first when it pays a tenth more, as on a live chain. Called by `ledger` under its lock.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from eth.abc import SignedTransactionAPI
from eth_typing import Address

MOST_WAITING = 4_096
FURTHEST_NONCE = 64
"""How far ahead of the next one a nonce may be."""


class Refused(Exception):
    """A transaction that is not taken, with the reason in the words that clients know from other chains."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    order: int
    tx: SignedTransactionAPI


class Pool:
    """The waiting transactions."""

    def __init__(self) -> None:
        self._by_sender: dict[Address, dict[int, _Waiting]] = {}
        self._by_hash: dict[bytes, SignedTransactionAPI] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._by_hash)

    def get(self, tx_hash: bytes) -> SignedTransactionAPI | None:
        return self._by_hash.get(tx_hash)

    def replaced_by(self, tx: SignedTransactionAPI) -> SignedTransactionAPI | None:
        """The waiting transaction whose place `tx` would take. Raises Refused when it pays too little for that, or all is full."""
        known = self._by_sender.get(tx.sender, {}).get(tx.nonce)
        if known is None:
            if len(self._by_hash) >= MOST_WAITING:
                raise Refused("txpool is full")
            return None
        old = known.tx
        if tx.max_fee_per_gas * 10 < old.max_fee_per_gas * 11 or tx.max_priority_fee_per_gas * 10 < old.max_priority_fee_per_gas * 11:
            raise Refused("replacement transaction underpriced")
        return old

    def add(self, tx: SignedTransactionAPI) -> None:
        """Takes `tx` in, in place of one with its nonce."""
        replaced = self._by_sender.get(tx.sender, {}).get(tx.nonce)
        if replaced is not None:
            self.remove(replaced.tx)
        self._count += 1
        self._by_sender.setdefault(tx.sender, {})[tx.nonce] = _Waiting(self._count, tx)
        self._by_hash[tx.hash] = tx

    def remove(self, tx: SignedTransactionAPI) -> None:
        queue = self._by_sender[tx.sender]
        del queue[tx.nonce]
        if not queue:
            del self._by_sender[tx.sender]
        del self._by_hash[tx.hash]

    def next_nonce(self, sender: Address, nonce: int) -> int:
        """The first nonce from `nonce` on for which nothing waits."""
        queue = self._by_sender.get(sender, {})
        while nonce in queue:
            nonce += 1
        return nonce

    def cost(self, sender: Address, but: int) -> int:
        """Wei that a sender's waiting transactions may take together, without the one of nonce `but`."""
        waiting = [one.tx for nonce, one in self._by_sender.get(sender, {}).items() if nonce != but]
        return sum(tx.gas * tx.max_fee_per_gas + tx.value for tx in waiting)

    def ready(self, nonce_of: Callable[[Address], int]) -> Iterator[SignedTransactionAPI]:
        """What can be mined now: of each sender an unbroken run of nonces, overall in the order they came."""
        heads = {sender: nonce_of(sender) for sender in self._by_sender}
        left = {sender: dict(queue) for sender, queue in self._by_sender.items()}
        while True:
            able = [(left[sender][nonce].order, sender) for sender, nonce in heads.items() if nonce in left[sender]]
            if not able:
                return
            _, sender = min(able)
            tx = left[sender].pop(heads[sender]).tx
            heads[sender] += 1
            yield tx
