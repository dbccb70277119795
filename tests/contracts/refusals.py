"""What the contracts say when they refuse: custom errors by selector, and the words to expect one.

Called by `market`, which raises `Refused`, and by the tests, which expect it.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import pytest
from eth_abi.abi import decode, encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from desktop_app.wire.resources import resource


def compiled(name: str) -> dict[str, object]:
    """The committed ABI, bytecode and storage layout of a contract."""
    found: dict[str, object] = json.loads(resource(f"contracts/compiled/{name}.json").read_text(encoding="utf-8"))
    return found


def _errors() -> dict[bytes, tuple[str, tuple[str, ...]]]:
    """Custom errors by selector: name and kinds of arguments."""
    found: dict[bytes, tuple[str, tuple[str, ...]]] = {}
    for name, kind in (("Error", "string"), ("Panic", "uint256")):  # the compiler's own
        found[keccak(text=f"{name}({kind})")[:4]] = (name, (kind,))
    for contract in sorted(resource("contracts/compiled").glob("*.json")):
        for entry in cast(list[dict[str, object]], compiled(contract.stem)["abi"]):
            if entry["type"] == "error":
                kinds = tuple(one["type"] for one in cast(list[dict[str, str]], entry["inputs"]))
                found[keccak(text=f"{entry['name']}({','.join(kinds)})")[:4]] = (str(entry["name"]), kinds)
    return found


ERRORS = _errors()


class Refused(Exception):
    """A contract reverted; `data` is what it said."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.name, self.values = explain(data)
        super().__init__(f"{self.name}{self.values}")


def explain(data: bytes) -> tuple[str, tuple[object, ...]]:
    """Name and arguments of an error; the bare hex for what no contract of ours says."""
    if data[:4] not in ERRORS:
        return "0x" + data.hex(), ()
    name, kinds = ERRORS[data[:4]]
    values = decode(kinds, data[4:])
    return name, tuple(to_checksum_address(one) if kind == "address" else one for kind, one in zip(kinds, values, strict=True))


def error_data(name: str, *values: object) -> bytes:
    """What a contract reverts with, byte for byte."""
    ((selector, kinds),) = [(selector, kinds) for selector, (known, kinds) in ERRORS.items() if known == name]
    return selector + encode(kinds, cast(Sequence[object], values))


@contextmanager
def refused(error: str, *values: object) -> Iterator[None]:
    """The block must fail with this custom error and no other; with these arguments, if any are given."""
    assert error in {name for name, _ in ERRORS.values()}, f"no contract has an error {error}"
    with pytest.raises(Refused) as caught:
        yield
    assert caught.value.name == error
    assert not values or caught.value.values == values
