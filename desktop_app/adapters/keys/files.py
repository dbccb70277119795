"""Keystore files: Web3 Secret Storage version 3, one key each, readable by other wallets, private to this user.

A file is written whole or not at all, and no key that was ever on disk is overwritten: it is kept aside first. Two fields
are ours: `keyring` names the entry that holds the wrapping secret ("" for a passphrase), and `words` holds the 24 words'
entropy, sealed with the wallet's own key: a secret of 256 bits needs no stretching, and whoever has it has the wallet anyway.
Called by `holder.py`.
"""

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from desktop_app.core.errors import AppError

SCRYPT_N: Final = 1 << 18
_MOST_BYTES: Final = 65_536

_Hex = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]*\Z", max_length=128)]


class _Cipher(msgspec.Struct, forbid_unknown_fields=True):
    iv: _Hex


class _Kdf(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Both kinds' parameters. Bounded, so that a forged file cannot eat the memory."""

    dklen: Literal[32]
    salt: _Hex
    n: Annotated[int, msgspec.Meta(ge=0, le=SCRYPT_N)] = 0
    r: Literal[0, 8] = 0
    p: Literal[0, 1] = 0
    c: Literal[0, 1] = 0
    prf: Literal["", "hmac-sha256"] = ""


class Sealed(msgspec.Struct, forbid_unknown_fields=True):
    """The `crypto` part of a version 3 keystore."""

    cipher: Literal["aes-128-ctr"]
    cipherparams: _Cipher
    ciphertext: _Hex
    kdf: Literal["scrypt", "pbkdf2"]
    kdfparams: _Kdf
    mac: _Hex


class KeyFile(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One key on disk. The address is readable without opening it."""

    address: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-fA-F]{40}\Z")]
    crypto: Sealed
    id: Annotated[str, msgspec.Meta(max_length=64)]
    version: Literal[3]
    keyring: Annotated[str, msgspec.Meta(max_length=64)] = ""
    words: Sealed | None = None


def seal(key: bytes | bytearray, secret: bytes | bytearray, n: int, keyring: str = "", entropy: bytes | None = None) -> KeyFile:
    """Wrap a private key with `secret` (scrypt, about a second and 256 MiB at the full `n`); `entropy` is that of its words."""
    from eth_keyfile.keyfile import create_keyfile_json

    made = create_keyfile_json(bytes(key), bytes(secret), kdf="scrypt", iterations=n)
    file = msgspec.convert(made, KeyFile)
    file.keyring = keyring
    if entropy is not None:
        inner = create_keyfile_json(entropy, bytes(key), kdf="pbkdf2", iterations=1)
        file.words = msgspec.convert(inner["crypto"], Sealed)
    return file


def unseal(sealed: Sealed, secret: bytes | bytearray) -> bytes | None:
    """What was wrapped, or None when this secret does not open it."""
    from eth_keyfile.exceptions import EthKeyfileValueError
    from eth_keyfile.keyfile import decode_keyfile_json

    try:
        return decode_keyfile_json({"version": 3, "crypto": msgspec.to_builtins(sealed)}, bytes(secret))
    except EthKeyfileValueError:  # the MAC does not match
        return None


def secure(folder: Path) -> None:
    """Make the folder, or make it private: 0700; clear away what a crash left half written."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.name != "nt":
            folder.chmod(0o700)
        for unfinished in folder.glob(".new-*"):
            unfinished.unlink()
    except OSError as error:
        raise AppError(f"The folder for keys cannot be made private: {error.strerror}.", f"Make sure that {folder} is yours.") from None


def read(path: Path) -> KeyFile | None:
    """The keystore at `path`, None when there is none. A damaged one is moved aside, and AppError says where to."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AppError(f"The key file {path.name} cannot be read: {error.strerror}.", f"Allow reading {path}.") from None
    try:
        return msgspec.json.decode(data, type=KeyFile)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise damaged(path) from None


def damaged(path: Path) -> AppError:
    """Move a keystore that makes no sense aside, and give the error that says so."""
    aside = _free_name(path, "damaged")
    try:
        path.rename(aside)
        sync(path.parent)
    except OSError:
        aside = path
    return AppError(
        f"The key file {path.name} is damaged.",
        f"It is kept as {aside}. Put a whole copy back in its place, or restore the wallet from its 24 words.",
    )


def write(path: Path, file: KeyFile) -> None:
    """Write a keystore, all or nothing, 0600 from its first byte. What was there before is kept aside."""
    data = msgspec.json.format(msgspec.json.encode(file))
    try:
        if path.exists():
            _put(_free_name(path, "replaced"), path.read_bytes())
        _put(path, data)
    except OSError as error:
        raise AppError(
            f"The key file {path.name} cannot be written: {error.strerror}.", f"Make room or allow writing in {path.parent}."
        ) from None


def traces(folder: Path) -> bool:
    """Whether this folder ever held a keystore."""
    return any(".json" in entry.name for entry in folder.iterdir() if not entry.name.startswith("."))


def sync(folder: Path) -> None:
    """Make a rename last through a power cut, where the system lets a folder be flushed."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _put(path: Path, data: bytes) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            temporary.chmod(0o600)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
        sync(path.parent)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _free_name(path: Path, why: str) -> Path:
    number = 1
    while (candidate := path.with_name(f"{path.name}.{why}-{number}")).exists():
        number += 1
    return candidate
