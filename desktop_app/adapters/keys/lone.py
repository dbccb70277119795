"""One key from one keystore file that somebody else made and named: opened, used, dropped; never made, moved or changed here.

Called by the root that founds markets, whose deployer's key may come from any wallet that writes version 3 keystores.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from desktop_app.adapters.keys import files
from desktop_app.adapters.keys.wrapping import wipe
from desktop_app.core.errors import AppError

_MOST_BYTES: Final = 65_536


class LoneKey:
    """The key in a file. `address` is known before it is opened; `open` and `close` may be called again."""

    def __init__(self, path: Path) -> None:
        """Raises AppError for a file that cannot be read, or is no keystore."""
        self._path = path
        try:
            with path.open("rb") as file:
                data = file.read(_MOST_BYTES + 1)
            self._file = msgspec.json.decode(data, type=files.KeyFile)
        except OSError as error:
            raise AppError(f"The keystore {path.name} cannot be read: {error.strerror}.", f"Put it at {path}.") from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise AppError(f"{path.name} is no keystore.", "A version 3 keystore with an address is wanted.") from None
        self._key: bytearray | None = None

    @property
    def address(self) -> str:
        """Whose key the file says it is, checksummed."""
        from eth_utils.address import to_checksum_address

        return str(to_checksum_address("0x" + self._file.address))

    def open(self, secret: bytearray) -> None:
        """Open it and wipe `secret`. Raises AppError when the secret does not fit, or the key is not its address's."""
        from eth_account import Account

        try:
            key = files.unseal(self._file.crypto, secret)
        finally:
            wipe(secret)
        if key is None:
            raise AppError(f"The passphrase does not open {self._path.name}.", "Correct what the deployment names for it.")
        self._key = bytearray(key)
        if str(Account.from_key(key).address) != self.address:
            self.close()
            raise AppError(f"The key in {self._path.name} is not that of the address it names.", "Put a whole copy in its place.")

    def sign_transaction(self, transaction: Mapping[str, object]) -> bytes:
        """A transaction, ready to send."""
        from eth_account import Account

        if self._key is None:
            raise AppError("The key is locked.", "Open it first.")
        return bytes(Account.sign_transaction(dict(transaction), bytes(self._key)).raw_transaction)

    def close(self) -> None:
        """Wipe the key."""
        if self._key is not None:
            wipe(self._key)
            self._key = None
