"""What a node's answers must look like, and what becomes of them: blocks, receipts and logs, as types.

A node is a stranger: whatever has another shape is `nonsense`, an AppError. Called by `client.py`.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from desktop_app.adapters.chain.abi import Event, nonsense

if TYPE_CHECKING:
    from desktop_app.adapters.chain.rpc import Json

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
_QUANTITY: Final = re.compile(r"0x[0-9a-fA-F]{1,64}")
_DATA: Final = re.compile(r"0x([0-9a-fA-F]{2})*")


@dataclass(frozen=True, slots=True)
class Block:
    """A block's head. `time` in unix seconds, `base_fee` in wei per gas."""

    number: int
    hash: str
    time: int
    base_fee: int


@dataclass(frozen=True, slots=True)
class Seen(Generic[T_co]):
    """An event, and where it happened."""

    event: T_co
    block: int
    transaction: str
    place: int  # among the block's logs


@dataclass(frozen=True, slots=True)
class Log:
    """A log that nobody has read yet."""

    address: str
    topics: tuple[str, ...]
    data: str
    block: int
    transaction: str
    place: int

    def read(self, kind: Event[T]) -> Seen[T]:
        """The event in it. Raises AppError when it is of another kind."""
        return Seen(kind.read(self.topics, self.data), self.block, self.transaction, self.place)


@dataclass(frozen=True, slots=True)
class Receipt:
    """A transaction that is in a block. `good`: it was not reverted there."""

    transaction: str
    block: int
    gas: int
    good: bool
    logs: tuple[Log, ...]


def quantity(answer: "Json") -> int:
    """A number. Raises AppError."""
    if not isinstance(answer, str) or not _QUANTITY.fullmatch(answer):
        raise nonsense("a number was expected")
    return int(answer, 16)


def data(answer: "Json", size: int | None = None) -> str:
    """Bytes, as lower-case 0x-hex; exactly `size` of them. Raises AppError."""
    if not isinstance(answer, str) or not _DATA.fullmatch(answer) or size not in (None, len(answer) // 2 - 1):
        raise nonsense("bytes were expected")
    return answer.lower()


def block(answer: "Json") -> Block:
    """A block's head. Raises AppError."""
    found = _fields(answer)
    fee = quantity(found["baseFeePerGas"]) if "baseFeePerGas" in found else 0
    return Block(quantity(found.get("number")), data(found.get("hash"), 32), quantity(found.get("timestamp")), fee)


def receipt(answer: "Json") -> Receipt | None:
    """A receipt; None when the node knows none. Raises AppError."""
    if answer is None:
        return None
    found = _fields(answer)
    where = quantity(found.get("blockNumber"))
    gas, good = quantity(found.get("gasUsed")), quantity(found.get("status")) == 1
    return Receipt(data(found.get("transactionHash"), 32), where, gas, good, logs(found.get("logs")))


def logs(answer: "Json") -> tuple[Log, ...]:
    """Logs, in the order they were given. Raises AppError."""
    if not isinstance(answer, list):
        raise nonsense("a list was expected")
    return tuple(_log(one) for one in answer)


def _log(answer: "Json") -> Log:
    found = _fields(answer)
    topics = found.get("topics")
    if not isinstance(topics, list) or len(topics) > 4:
        raise nonsense("an event was expected")
    return Log(
        data(found.get("address"), 20),
        tuple(data(one, 32) for one in topics),
        data(found.get("data")),
        quantity(found.get("blockNumber")),
        data(found.get("transactionHash"), 32),
        quantity(found.get("logIndex")),
    )


def _fields(answer: "Json") -> "dict[str, Json]":
    if not isinstance(answer, dict):
        raise nonsense("several named values were expected")
    return answer
