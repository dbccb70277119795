"""What the keystores are wrapped with: a random secret in the system's keyring, or the owner's passphrase.

Only a keyring that the system itself guards counts. A file-based fallback would be plain text with a lock painted on it, so
whatever the keyring library or its environment variables would choose instead is never asked. Called by `holder.py`, and by
the roots through the package.
"""

import importlib
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol, cast

from desktop_app.core.errors import AppError

PASSPHRASE_FILE: Final = "SUBLET_PASSPHRASE_FILE"  # noqa: S105 - the variable's name, not its value
LEAST_PASSPHRASE: Final = 12
_MOST_PASSPHRASE: Final = 1024
_SERVICE: Final = "Sublet"

_REAL_BACKENDS: Final = (
    ("keyring.backends.Windows", "WinVaultKeyring"),
    ("keyring.backends.macOS", "Keyring"),
    ("keyring.backends.SecretService", "Keyring"),
    ("keyring.backends.kwallet", "DBusKeyring"),
)


class Ring(Protocol):
    """A keyring: named secrets, each a short text."""

    def get_password(self, service: str, username: str) -> str | None: ...

    def set_password(self, service: str, username: str, password: str) -> None: ...


def system_ring() -> Ring | None:
    """The system's own keyring (Credential Manager, Keychain, SecretService, KWallet), or None where there is none."""
    for module, name in _REAL_BACKENDS:
        backend = getattr(importlib.import_module(module), name)
        if backend.viable:
            return cast(Ring, backend())
    return None


def make_ring_secret(ring: Ring) -> tuple[str, bytearray]:
    """Put 32 random bytes (as hex) into the keyring; gives the entry's name and the secret, once it can be read back."""
    entry, secret = secrets.token_hex(8), secrets.token_hex(32)
    try:
        ring.set_password(_SERVICE, entry, secret)
        kept = ring.get_password(_SERVICE, entry)
    except Exception as error:  # each back end raises its own kinds
        raise _ring_trouble(error) from None
    if kept != secret:
        raise AppError("The system's keyring did not keep the wallet's secret.", "Unlock or repair the keyring, then start again.")
    return entry, bytearray(secret.encode())


def ring_secret(ring: Ring | None, entry: str) -> bytearray:
    """The secret kept under `entry`. Raises AppError when there is no keyring, it stays locked, or the entry is gone."""
    if ring is None:
        raise AppError(
            "The keys are locked by the system's keyring, which cannot be reached.",
            "Log in to the desktop session in which the wallet was made, or restore it from its 24 words.",
        )
    try:
        secret = ring.get_password(_SERVICE, entry)
    except Exception as error:
        raise _ring_trouble(error) from None
    if secret is None:
        raise AppError(
            "The system's keyring no longer has the wallet's secret.",
            "Bring the keyring back from a backup, or restore the wallet from its 24 words.",
        )
    return bytearray(secret.encode())


def checked_new(passphrase: bytearray) -> bytearray:
    """The same passphrase, if it is long enough to be chosen for a new key."""
    if not LEAST_PASSPHRASE <= len(passphrase) <= _MOST_PASSPHRASE:
        raise AppError(
            "That passphrase does not do.",
            f"Choose one of at least {LEAST_PASSPHRASE} characters, for example four words nobody would link.",
        )
    return passphrase


def passphrase_from_file(environment: Mapping[str, str]) -> bytearray | None:
    """The first line of the file that SUBLET_PASSPHRASE_FILE names, or None when it names none.

    Raises AppError unless it is a plain file of mode 600 that belongs to this user: anyone else who may read it owns the
    wallet, and who may write it can lock the owner out.
    """
    named = environment.get(PASSPHRASE_FILE)
    if not named:
        return None
    if os.name == "nt":
        raise AppError("Windows does not keep passphrase files private.", f"Unset {PASSPHRASE_FILE}; Windows has a keyring.")
    try:
        descriptor = os.open(named, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        advice = f"{PASSPHRASE_FILE} must name a file you can read, not a link."
        raise AppError(f"The passphrase file cannot be opened: {error.strerror}.", advice) from None
    content = bytearray(_MOST_PASSPHRASE + 2)
    try:
        about = os.fstat(descriptor)
        private = stat.S_ISREG(about.st_mode) and stat.S_IMODE(about.st_mode) == 0o600 and about.st_uid == os.getuid()
        if not private:
            raise AppError("The passphrase file is not private.", f"Run: chmod 600 {Path(named)} (a plain file of your own).")
        del content[os.readv(descriptor, [content]) :]
    finally:
        os.close(descriptor)
    line = content.split(b"\n", 1)[0].removesuffix(b"\r")
    wipe(content)
    if not line or len(line) > _MOST_PASSPHRASE:
        wipe(line)
        raise AppError("The passphrase file is empty or far too long.", "Put one line in it, the passphrase.")
    return line


def wipe(secret: bytearray) -> None:
    """Overwrite a secret in place. Copies that libraries made are beyond reach; this shortens the list."""
    secret[:] = bytes(len(secret))


def _ring_trouble(error: Exception) -> AppError:
    return AppError(
        f"The system's keyring refused: {type(error).__name__}.",
        f"Unlock the keyring, or name a passphrase file in {PASSPHRASE_FILE}, and start again.",
    )
