"""How the values that contracts speak are written and read (the contract ABI), each Solidity type as one Python type.

Numbers are int, truth is bool, `address` is its checksummed text, bytes of any length are 0x-hex, arrays are tuples and
structs frozen dataclasses. The modules in `bindings/` are generated on top of this; `client.py` asks what they say.
https://docs.soliditylang.org/en/v0.8.30/abi-spec.html
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from dataclasses import fields as fields_of
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeAlias, TypeVar

from desktop_app.core.errors import AppError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
_HEX: Final = re.compile(r"0x([0-9a-fA-F]{2})*")
Want: TypeAlias = T | tuple[T, ...] | None
"""What a field of an event has to be: this, one of these, or anything."""


class Unfit(AppError):
    """A value that its type cannot hold, so that no contract would ever understand it."""


class Coder(Protocol):
    """What is common to all kinds."""

    @property
    def name(self) -> str: ...
    @property
    def pack(self) -> Callable[[object], object]: ...
    def read(self, raw: object) -> object: ...


@dataclass(frozen=True, slots=True)
class Packed:
    """A value ready to be encoded, and the name of its type."""

    kind: str
    value: object


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """One Solidity type. Calling it packs a value; AppError when the value does not fit."""

    name: str
    pack: Callable[[object], object]
    unpack: Callable[[object], T]

    def __call__(self, value: T) -> Packed:
        return Packed(self.name, self.pack(value))

    def read(self, raw: object) -> T:
        return self.unpack(raw)

    def topics(self, wanted: Want[T]) -> list[str] | None:
        """A filter for logs: any of these values, or anything at all."""
        if wanted is None:
            return None
        return ["0x" + encoded((self(one),)).hex() for one in (wanted if isinstance(wanted, tuple) else (wanted,))]


@dataclass(frozen=True, slots=True)
class Answer(Generic[T_co]):
    """What a function gives back."""

    kinds: tuple[str, ...]
    read: Callable[[Sequence[object]], T_co]


@dataclass(frozen=True, slots=True)
class Call(Generic[T_co]):
    """A question to a contract, ready to be asked."""

    address: str
    name: str
    data: str  # 0x-hex
    answer: Answer[T_co]

    def read(self, data: str) -> T_co:
        """The answer in `data` (0x-hex). AppError when it is none."""
        return self.answer.read(decoded(self.answer.kinds, data))


@dataclass(frozen=True, slots=True)
class Deed(Call[T_co]):
    """A call that changes something; asked as a question, it says what it would do."""


@dataclass(frozen=True, slots=True)
class Event(Generic[T]):
    """One kind of event. `indexed` are the places of the fields that stand in the topics."""

    topic: str
    make: Callable[..., T]
    indexed: tuple[int, ...]
    fields: tuple[Coder, ...]

    def read(self, topics: Sequence[str], data: str) -> T:
        """The event in a log. AppError when the log is none of this kind."""
        if not topics or topics[0] != self.topic or len(topics) != len(self.indexed) + 1:
            raise nonsense("an event of another kind")
        plain = [place for place in range(len(self.fields)) if place not in self.indexed]
        values = dict(zip(plain, decoded(tuple(self.fields[place].name for place in plain), data), strict=True))
        for place, word in zip(self.indexed, topics[1:], strict=True):
            values[place] = decoded((self.fields[place].name,), word)[0]
        return self.make(*(field.read(values[place]) for place, field in enumerate(self.fields)))


@dataclass(frozen=True, slots=True)
class Logs(Generic[T]):
    """A question for events: `topics` are alternatives for each indexed field, None: any."""

    address: str
    event: Event[T]
    topics: tuple[list[str] | None, ...]


class Contract:
    """A contract at an address; the generated classes add its functions."""

    def __init__(self, address: str) -> None:
        self.address = address

    def _view(self, name: str, selector: str, answer: Answer[T], *arguments: Packed) -> Call[T]:
        return Call(self.address, name, selector + encoded(arguments).hex(), answer)

    def _deed(self, name: str, selector: str, answer: Answer[T], *arguments: Packed) -> Deed[T]:
        return Deed(self.address, name, selector + encoded(arguments).hex(), answer)

    def _logs(self, event: Event[T], *topics: list[str] | None) -> Logs[T]:
        return Logs(self.address, event, topics)


def encoded(arguments: Sequence[Packed]) -> bytes:
    """The arguments as a call carries them. Raises AppError for a value that its type cannot hold."""
    from eth_abi.abi import encode
    from eth_abi.exceptions import EncodingError

    try:
        return encode([one.kind for one in arguments], [one.value for one in arguments])
    except EncodingError as error:
        raise _unfit(str(error)[:120]) from error


def decoded(kinds: tuple[str, ...], data: str) -> tuple[object, ...]:
    """The values in `data` (0x-hex). Raises AppError when they are not there."""
    from eth_abi.abi import decode
    from eth_abi.exceptions import DecodingError

    if not _HEX.fullmatch(data):
        raise nonsense("no hexadecimal digits")
    try:
        return tuple(decode(kinds, bytes.fromhex(data[2:])))
    except (DecodingError, OverflowError, UnicodeDecodeError) as error:
        raise nonsense(f"{', '.join(kinds)} expected") from error


def nonsense(what: str) -> AppError:
    """What is said of a node that answers out of shape."""
    return AppError(f"The chain's node gave no useful answer: {what}.", "Try again; if it stays so, use another node.")


def one(kind: Kind[T]) -> Answer[T]:
    """One value."""
    return Answer((kind.name,), lambda raw: kind.read(raw[0]))


def several(make: Callable[..., T], *kinds: Coder) -> Answer[T]:
    """Several values, as one dataclass."""
    return Answer(tuple(kind.name for kind in kinds), lambda raw: make(*(kind.read(value) for kind, value in zip(kinds, raw, strict=True))))


def event(make: Callable[..., T], topic: str, indexed: tuple[int, ...], *fields: Coder) -> Event[T]:
    """One kind of event."""
    return Event(topic, make, indexed, fields)


def many(kind: Kind[T]) -> Kind[tuple[T, ...]]:
    """An array of any length."""

    def pack(value: object) -> object:
        if not isinstance(value, tuple):
            raise _unfit(f"{value!r} is no tuple")
        return [kind.pack(item) for item in value]

    return Kind(f"{kind.name}[]", pack, lambda raw: tuple(kind.read(item) for item in _sequence(raw)))


def struct(make: "type[T]", *kinds: Coder) -> Kind[T]:
    """A struct, kept in the dataclass `make`, its fields in the same order."""
    build: Callable[..., T] = make

    def pack(value: object) -> object:
        if not isinstance(value, make):
            raise _unfit(f"{value!r} is no {make.__name__}")
        return tuple(kind.pack(item) for kind, item in zip(kinds, _items(value), strict=True))

    def unpack(raw: object) -> T:
        return build(*(kind.read(item) for kind, item in zip(kinds, _sequence(raw), strict=True)))

    return Kind(f"({','.join(kind.name for kind in kinds)})", pack, unpack)


def number(name: str) -> Kind[int]:
    """`uintN`."""
    return Kind(name, _whole, _whole)


def fixed(size: int) -> Kind[str]:
    """`bytesN`, as 0x-hex of exactly that length."""
    return Kind(f"bytes{size}", lambda value: _bytes(value, size), _hex)


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _unfit(f"{value!r} is no whole number")
    return int(value)


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise _unfit(f"{value!r} is neither yes nor no")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _unfit(f"{value!r} is no text")
    return value


def _bytes(value: object, size: int | None = None) -> bytes:
    if not isinstance(value, str) or not _HEX.fullmatch(value) or size not in (None, len(value) // 2 - 1):
        raise _unfit(f"{'some' if size is None else size} bytes in hexadecimal digits are wanted")
    return bytes.fromhex(value[2:])


def _hex(value: object) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else _text(value)


def _address(value: object) -> str:
    return "0x" + _bytes(value, 20).hex()


def _checksummed(value: object) -> str:
    from eth_utils.address import to_checksum_address

    return str(to_checksum_address(_text(value)))


def _sequence(raw: object) -> Sequence[object]:
    if not isinstance(raw, (tuple, list)):
        raise nonsense("several values were expected")
    return raw


def _items(value: "object | DataclassInstance") -> list[object]:
    return [getattr(value, field.name) for field in fields_of(value)]  # type: ignore[arg-type]


def _unfit(what: str) -> Unfit:
    return Unfit(f"That cannot be told to a contract: {what}.", "If you typed it, correct it.")


NOTHING: Final[Answer[None]] = Answer((), lambda _: None)
ADDRESS: Final[Kind[str]] = Kind("address", _address, _checksummed)
BOOL: Final[Kind[bool]] = Kind("bool", _truth, _truth)
BYTES: Final[Kind[str]] = Kind("bytes", _bytes, _hex)
STRING: Final[Kind[str]] = Kind("string", _text, _text)
BYTES1: Final = fixed(1)
BYTES4: Final = fixed(4)
BYTES32: Final = fixed(32)
UINT8: Final = number("uint8")
UINT16: Final = number("uint16")
UINT24: Final = number("uint24")
UINT32: Final = number("uint32")
UINT40: Final = number("uint40")
UINT48: Final = number("uint48")
UINT64: Final = number("uint64")
UINT208: Final = number("uint208")
UINT256: Final = number("uint256")
