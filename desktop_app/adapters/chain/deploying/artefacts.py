"""The compiled contracts as bytes: what creates one, what it leaves on the chain, and where.

Everything here is known without a chain, so that addresses can be computed before anything is sent. Called by the rest of
this folder.
"""

import json
from dataclasses import dataclass
from functools import cache
from typing import Final

from desktop_app.wire.resources import resource

FACTORY: Final = "0x4e59b44847b379578588920cA78FbF26c0B4956C"
"""The deterministic-deployment proxy (github.com/Arachnid/deterministic-deployment-proxy): the same on every chain, nobody's."""
FACTORY_SIGNER: Final = "0x3fAB184622Dc19b6109349B94811493BF2a45362"
"""Whose one transaction makes it. Nobody has this address's key: the signature was chosen, and the address follows from it."""
FACTORY_PRICE: Final = 10**16
"""Wei that its transaction takes: 100,000 gas at 100 gwei."""
FACTORY_CODE: Final = bytes.fromhex(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf3"
)
FACTORY_TRANSACTION: Final = bytes.fromhex(
    "f8a58085174876e800830186a08080b853604580600e600039806000f350fe" + FACTORY_CODE.hex() + "1ba0" + "22" * 32 + "a0" + "22" * 32
)


@dataclass(frozen=True, slots=True)
class Artefact:
    """One compiled contract. `immutables`: where its runtime code holds what creation filled in, (first byte, length)."""

    name: str
    abi: tuple[dict[str, object], ...]
    bytecode: bytes
    runtime: bytes
    immutables: tuple[tuple[int, int], ...]

    def creation(self, *arguments: object) -> bytes:
        """The code that creates it with these arguments."""
        from eth_abi.abi import encode

        kinds = [kind for entry in self.abi if entry["type"] == "constructor" for kind in _kinds(entry["inputs"])]
        return self.bytecode + bytes(encode(kinds, arguments))

    def left(self, code: bytes) -> bool:
        """Whether creating this contract can have left this code on the chain."""
        return len(code) == len(self.runtime) and self._masked(code) == self._masked(self.runtime)

    def _masked(self, code: bytes) -> bytes:
        masked = bytearray(code)
        for start, length in self.immutables:
            masked[start : start + length] = bytes(length)
        return bytes(masked)


@cache
def artefact(name: str) -> Artefact:
    """A compiled contract by name."""
    content = json.loads(resource(f"contracts/compiled/{name}.json").read_bytes())
    immutables = tuple((int(start), int(length)) for start, length in content["immutables"])
    code, runtime = (bytes.fromhex(content[part].removeprefix("0x")) for part in ("bytecode", "runtime"))
    return Artefact(name, tuple(content["abi"]), code, runtime, immutables)


def address_of(creation: bytes, salt: bytes) -> str:
    """Where the factory puts what this code creates with these 32 bytes of salt (EIP-1014), checksummed."""
    from eth_utils.address import to_checksum_address
    from eth_utils.crypto import keccak

    packed = b"\xff" + bytes.fromhex(FACTORY[2:]) + salt + bytes(keccak(creation))
    return str(to_checksum_address(bytes(keccak(packed))[12:]))


def _kinds(entries: object) -> list[str]:
    """ABI types as the encoder names them: a struct is its fields in brackets."""
    kinds = []
    for one in entries if isinstance(entries, list) else []:
        kind = str(one["type"])
        kinds.append(f"({','.join(_kinds(one['components']))}){kind[5:]}" if kind.startswith("tuple") else kind)
    return kinds
