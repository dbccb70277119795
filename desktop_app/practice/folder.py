"""What lies where below a profile's practice folder, and the keys of the practice network's roles.

The keys guard test money: made once per profile, wrapped with a random secret in a file for the owner alone, at a scrypt
cost that does not hold up a start. Called by the parts of the practice network.
"""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from desktop_app.adapters.keys import Keys

DEPLOYER: Final = "deployer"
TREASURY: Final = "treasury"
RELAYER: Final = "relayer"
ATTESTOR: Final = "attestor"
ARBITER: Final = "arbiter"
GUARDIAN: Final = "guardian"
RENTER: Final = "renter"

_OFFICE_ROLES: Final = (DEPLOYER, TREASURY, RELAYER, ATTESTOR, ARBITER, GUARDIAN)
_SCRYPT_N: Final = 2**12


@dataclass(frozen=True, slots=True)
class Folder:
    """The layout below `root`."""

    root: Path

    @property
    def network(self) -> Path:
        return self.root / "network.json"

    @property
    def ports(self) -> Path:
        return self.root / "ports.json"

    @property
    def version(self) -> Path:
        return self.root / "version"

    @property
    def lock(self) -> Path:
        return self.root / "practice.lock"

    @property
    def chain(self) -> Path:
        return self.root / "chain"

    @property
    def market(self) -> Path:
        return self.root / "market"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def renter(self) -> Path:
        return self.root / "renter"

    def office_keys(self) -> Keys:
        """The keys of those who run the market, open."""
        return self._keys("office", _OFFICE_ROLES)

    def renter_keys(self) -> Keys:
        """The renter's key, open."""
        return self._keys("renter", (RENTER,))

    def _keys(self, name: str, roles: tuple[str, ...]) -> Keys:
        secret = self.root / "keys" / f"{name}.secret"
        secret.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not secret.exists():
            _write_once(secret, secrets.token_hex(32).encode())
        keys = Keys(self.root / "keys" / name, lambda: bytearray(secret.read_bytes()), standing=roles, wallet=False, n=_SCRYPT_N)
        keys.create_or_open()
        return keys


def _write_once(path: Path, content: bytes) -> None:
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    new.replace(path)
