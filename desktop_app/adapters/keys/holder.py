"""`Keys`: makes, opens, uses and drops the keys of one folder; the package's single door.

The standing keys (on an owner's machine the operator's, which signs receipts and holds nothing) stay open from the start.
The wallet's key spends, so it is opened for one cash-out and dropped. All methods are synchronous and may take seconds
(scrypt): the roots run them in threads. Called by the roots.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from desktop_app.adapters.keys import files, words
from desktop_app.adapters.keys.wrapping import Ring, checked_new, make_ring_secret, ring_secret, wipe
from desktop_app.core.errors import AppError
from desktop_app.wire.eip712 import TypedMessage

WALLET: Final = "wallet"
OPERATOR: Final = "operator"
_RESTORE: Final = "Restore it from its 24 words, or put the file back from a backup."


@dataclass(frozen=True, slots=True)
class Addresses:
    """Who the keys are, checksummed; "" for one that is not made yet. `needs_passphrase`: the standing keys are still locked."""

    wallet: str
    operator: str
    needs_passphrase: bool


class Keys:
    """The keys of one folder.

    `passphrase` gives a fresh copy of the passphrase, or None when only a prompt can; the copy is wiped after use. Where it
    gives none, a `ring` wraps new keys with a random secret kept there, and no passphrase is ever asked for. `standing` names the keys
    besides the wallet. `n` is scrypt's cost: below the default only for keys that guard test money, where five of them would
    hold up every start by as many seconds.
    """

    def __init__(
        self,
        folder: Path,
        passphrase: Callable[[], bytearray | None],
        ring: Ring | None = None,
        *,
        standing: tuple[str, ...] = (OPERATOR,),
        wallet: bool = True,
        n: int = files.SCRYPT_N,
    ) -> None:
        self._folder = folder
        self._passphrase = passphrase
        self._ring = ring
        self._standing = standing
        self._roles = ((WALLET,) if wallet else ()) + standing
        self._n = n
        self._lock = threading.RLock()  # files and standing keys
        self._spending = threading.Lock()  # one cash-out at a time
        self._open: dict[str, bytearray] = {}
        self._addresses: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Keys({str(self._folder)!r})"

    def create_or_open(self, passphrase: bytearray | None = None) -> Addresses:
        """Make the keys on a first start, and open the standing ones.

        Without keyring and passphrase nothing is made or opened, and `needs_passphrase` says so. Raises AppError for a wrong
        passphrase, a damaged or missing file, a keyring that refuses, a full disk.
        """
        with self._lock:
            files.secure(self._folder)
            found = {role: file for role in self._roles if (file := files.read(self._path(role)))}
            if WALLET in self._roles and WALLET not in found and files.traces(self._folder):
                raise AppError("The wallet's key file is missing.", _RESTORE)
            self._addresses = {role: _checksummed(file.address) for role, file in found.items()}
            if len(found) == len(self._roles) and self._open.keys() >= set(self._standing):
                return self.addresses()
            entry, secret = self._wrapping(found, passphrase) if found else self._new_wrapping(passphrase)
            if secret is None:
                return self.addresses(locked=True)
            with _wiped(secret):
                self._open_standing(found, secret)
                for role in self._roles:
                    if role not in found:
                        self._make(role, secret, entry)
            return self.addresses()

    def addresses(self, *, locked: bool = False) -> Addresses:
        """Who the keys are, as last read."""
        return Addresses(self._addresses.get(WALLET, ""), self._addresses.get(OPERATOR, ""), locked)

    def address(self, role: str) -> str:
        """One key's checksummed address. Raises AppError when there is no such key yet."""
        if role not in self._addresses:
            raise AppError(f"There is no {role} key yet.", "Open the keys first.")
        return self._addresses[role]

    @contextlib.contextmanager
    def unlock_wallet(self, passphrase: bytearray | None = None) -> Iterator[None]:
        """Hold the wallet's key open for the block, then wipe it. Raises AppError when it does not open."""
        with self._spending:
            key = self._wallet_key(passphrase)
            try:
                self._open[WALLET] = key
                yield
            finally:
                self._open.pop(WALLET, None)
                wipe(key)

    def sign_message(self, role: str, data: bytes) -> str:
        """EIP-191 signature over `data`, 65 bytes as 0x-hex."""
        from eth_account import Account
        from eth_account.messages import encode_defunct

        return "0x" + bytes(Account.sign_message(encode_defunct(data), self._key(role)).signature).hex()

    def sign_typed(self, role: str, full_message: TypedMessage) -> str:
        """EIP-712 signature over a full message, 65 bytes as 0x-hex."""
        from eth_account import Account

        return "0x" + bytes(Account.sign_typed_data(self._key(role), full_message=full_message).signature).hex()

    def sign_transaction(self, role: str, transaction: Mapping[str, object]) -> bytes:
        """A transaction, ready to send."""
        from eth_account import Account

        return bytes(Account.sign_transaction(dict(transaction), self._key(role)).raw_transaction)

    def words(self, passphrase: bytearray | None = None) -> tuple[str, ...]:
        """The wallet's 24 words, for the owner's paper."""
        with self._lock:
            file = self._wallet_file()
            with _wiped(self._wallet_key(passphrase)) as key:
                entropy = files.unseal(file.words, key) if file.words else None
                if entropy is None or words.key_of(entropy) != key:
                    raise AppError("The words kept with the wallet are damaged.", "Cash out to another wallet while this one still opens.")
            return words.say(entropy)

    def restore(self, spoken: str, passphrase: bytearray | None = None) -> Addresses:
        """Make the wallet that 24 words say; the one that was here before is kept aside. A new passphrase may be given.

        A standing key that the new wrapping does not open is kept aside and made anew. Raises AppError for wrong words.
        """
        entropy = words.hear(spoken)
        with self._lock:
            files.secure(self._folder)
            entry, secret = self._new_wrapping(passphrase)
            if secret is None:
                raise AppError("A passphrase is needed to keep the wallet.", "Give one with the words.")
            with _wiped(secret):
                self._save(WALLET, words.key_of(entropy), secret, entry, entropy)
                for role in self._standing:
                    self._rewrap(role, secret, entry)
            return self.addresses()

    def close(self) -> None:
        """Wipe and drop every open key."""
        with self._lock:
            for key in self._open.values():
                wipe(key)
            self._open.clear()

    def _path(self, role: str) -> Path:
        return self._folder / f"{role}.json"

    def _key(self, role: str) -> bytes:
        with self._lock:
            if role not in self._open:
                raise AppError(f"The {role} key is locked.", "Give the passphrase first.")
            return bytes(self._open[role])

    def _wrapping(self, found: dict[str, files.KeyFile], passphrase: bytearray | None) -> tuple[str, bytearray | None]:
        """The keyring entry and the secret that open what is on disk."""
        entry = next(iter(found.values())).keyring
        return entry, ring_secret(self._ring, entry) if entry else self._asked(passphrase)

    def _new_wrapping(self, passphrase: bytearray | None) -> tuple[str, bytearray | None]:
        """The keyring entry and the secret for keys that are written now; a passphrase that is given wins over the keyring."""
        secret = self._asked(passphrase)
        if secret is not None:
            return "", checked_new(secret)
        return ("", None) if self._ring is None else make_ring_secret(self._ring)

    def _asked(self, passphrase: bytearray | None) -> bytearray | None:
        return self._passphrase() if passphrase is None else bytearray(passphrase)

    def _open_standing(self, found: dict[str, files.KeyFile], secret: bytearray) -> None:
        """Open the standing keys that exist; when there is none, at least prove the secret before new keys get it."""
        standing = [role for role in self._standing if role in found and role not in self._open]
        for role in standing:
            self._open[role] = self._opened(role, found[role], secret)
        if found and not standing:
            role, file = next(iter(found.items()))
            wipe(self._opened(role, file, secret))

    def _opened(self, role: str, file: files.KeyFile, secret: bytearray) -> bytearray:
        from eth_account import Account

        key = files.unseal(file.crypto, secret)
        if key is None:
            what = "The secret in the system's keyring" if file.keyring else "That passphrase"
            raise AppError(f"{what} does not open the keys.", "Try again, or restore the wallet from its 24 words.")
        try:
            address = str(Account.from_key(key).address)
        except ValueError:
            address = ""
        if address != _checksummed(file.address):
            raise files.damaged(self._path(role))
        return bytearray(key)

    def _wallet_file(self) -> files.KeyFile:
        file = files.read(self._path(WALLET))
        if file is None:
            raise AppError("The wallet's key file is missing.", _RESTORE)
        return file

    def _wallet_key(self, passphrase: bytearray | None) -> bytearray:
        file = self._wallet_file()
        _, secret = self._wrapping({WALLET: file}, passphrase)
        if secret is None:
            raise AppError("The wallet is locked.", "Give its passphrase.")
        with _wiped(secret):
            return self._opened(WALLET, file, secret)

    def _make(self, role: str, secret: bytearray, entry: str) -> None:
        entropy = words.new_entropy()
        if role == WALLET:
            self._save(role, words.key_of(entropy), secret, entry, entropy)
        else:
            self._save(role, entropy, secret, entry)

    def _rewrap(self, role: str, secret: bytearray, entry: str) -> None:
        """After a restore: keep a standing key if it is open or the secret opens it, else make another."""
        with contextlib.suppress(AppError):
            file = files.read(self._path(role))
            if file and role not in self._open and (key := files.unseal(file.crypto, secret)):
                self._open[role] = bytearray(key)
                self._addresses[role] = _checksummed(file.address)
                return
        self._save(role, bytes(self._open.get(role, words.new_entropy())), secret, entry)

    def _save(self, role: str, key: bytes, secret: bytearray, entry: str, entropy: bytes | None = None) -> None:
        file = files.seal(key, secret, self._n, entry, entropy)
        files.write(self._path(role), file)
        self._addresses[role] = _checksummed(file.address)
        if role in self._standing:
            self._open[role] = bytearray(key)


def _checksummed(address: str) -> str:
    from eth_utils.address import to_checksum_address

    return str(to_checksum_address("0x" + address))


@contextlib.contextmanager
def _wiped(secret: bytearray) -> Iterator[bytearray]:
    try:
        yield secret
    finally:
        wipe(secret)
