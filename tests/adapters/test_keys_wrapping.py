"""What wraps the keys: a real keyring or a passphrase, never plain text; a passphrase file only if it is private.

The keyring of the tests is a dictionary: there is none on a machine without a desktop, and the adapter's part is what it
stores, what it reads back, and what it does when the entry is gone.
"""

import os
from pathlib import Path

import pytest
from keyring.errors import KeyringLocked

from desktop_app.adapters.keys import OPERATOR, PASSPHRASE_FILE, WALLET, Keys, passphrase_from_file, system_ring
from desktop_app.core.errors import AppError

CHEAP = 1 << 4


class DictRing:
    """A keyring in memory."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], str] = {}
        self.locked = False
        self.forgetful = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise KeyringLocked("secret-to-be-hidden")
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.locked:
            raise KeyringLocked("secret-to-be-hidden")
        if not self.forgetful:
            self.entries[service, username] = password


def nothing() -> bytearray | None:
    return None


def keys_in(folder: Path, ring: DictRing | None) -> Keys:
    return Keys(folder / "keys", nothing, ring, n=CHEAP)


def test_with_a_keyring_nobody_is_asked_for_a_passphrase(tmp_path: Path) -> None:
    ring = DictRing()
    made = keys_in(tmp_path, ring).create_or_open()
    assert not made.needs_passphrase
    ((service, entry),) = ring.entries
    assert service == "Sublet" and len(bytes.fromhex(ring.entries[service, entry])) == 32
    again = keys_in(tmp_path, ring)
    assert again.create_or_open() == made
    with again.unlock_wallet():
        again.sign_message(WALLET, b"pay")
    assert len(ring.entries) == 1


def test_a_keyring_that_lost_the_secret_or_is_gone_says_what_to_do(tmp_path: Path) -> None:
    ring = DictRing()
    keys = keys_in(tmp_path, ring)
    made = keys.create_or_open()
    spoken = " ".join(keys.words())
    with pytest.raises(AppError, match=r"cannot be reached.*desktop session"):
        keys_in(tmp_path, None).create_or_open()
    ring.entries.clear()
    with pytest.raises(AppError, match=r"no longer has.*24 words"):
        keys_in(tmp_path, ring).create_or_open()
    found = keys_in(tmp_path, ring).restore(spoken)
    assert found.wallet == made.wallet
    assert keys_in(tmp_path, ring).create_or_open() == found


def test_a_locked_keyring_is_an_advice_and_its_words_are_not_passed_on(tmp_path: Path) -> None:
    ring = DictRing()
    ring.locked = True
    with pytest.raises(AppError, match="Unlock the keyring") as caught:
        keys_in(tmp_path, ring).create_or_open()
    assert "hidden" not in str(caught.value)
    assert list((tmp_path / "keys").iterdir()) == []


def test_a_passphrase_that_is_given_wins_over_the_keyring(tmp_path: Path) -> None:
    ring = DictRing()
    ring.locked = True
    keys = Keys(tmp_path / "keys", lambda: bytearray(b"four words nobody links"), ring, n=CHEAP)
    assert not keys.create_or_open().needs_passphrase
    assert keys_in(tmp_path, ring).create_or_open().needs_passphrase


def test_a_keyring_that_does_not_keep_is_noticed_before_anything_is_written(tmp_path: Path) -> None:
    ring = DictRing()
    ring.forgetful = True
    with pytest.raises(AppError, match="did not keep"):
        keys_in(tmp_path, ring).create_or_open()
    assert list((tmp_path / "keys").iterdir()) == []


def test_another_secret_in_the_keyring_opens_nothing(tmp_path: Path) -> None:
    ring = DictRing()
    keys_in(tmp_path, ring).create_or_open()
    (name,) = ring.entries
    ring.entries[name] = "00" * 32
    keys = keys_in(tmp_path, ring)
    with pytest.raises(AppError, match="keyring does not open"):
        keys.create_or_open()
    with pytest.raises(AppError, match="locked"):
        keys.sign_message(OPERATOR, b"hello")


@pytest.mark.parametrize(
    "chosen", ["keyring.backends.null.Keyring", "keyring.backends.fail.Keyring", "keyring.backends.chainer.ChainerBackend"]
)
def test_no_fallback_is_taken_for_a_keyring(monkeypatch: pytest.MonkeyPatch, chosen: str) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", chosen)
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
    ring = system_ring()
    assert ring is None or type(ring).__module__ in {"keyring.backends.Windows", "keyring.backends.macOS"}


def private(path: Path, content: bytes, mode: int = 0o600) -> dict[str, str]:
    path.write_bytes(content)
    path.chmod(mode)
    return {PASSPHRASE_FILE: str(path)}


@pytest.mark.parametrize("content", [b"a good passphrase", b"a good passphrase\n", b"a good passphrase\r\nsecond line\n"])
def test_a_private_file_gives_its_first_line(tmp_path: Path, content: bytes) -> None:
    assert passphrase_from_file(private(tmp_path / "pass", content)) == bytearray(b"a good passphrase")


def test_no_file_named_is_no_passphrase() -> None:
    assert passphrase_from_file({}) is None


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o400, 0o700, 0o602])
def test_a_file_of_any_other_mode_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(AppError, match=r"not private.*chmod 600") as caught:
        passphrase_from_file(private(tmp_path / "pass", b"a good passphrase", mode))
    assert "good" not in str(caught.value)


def test_links_folders_pipes_and_nothing_are_refused(tmp_path: Path) -> None:
    private(tmp_path / "pass", b"a good passphrase")
    (tmp_path / "link").symlink_to(tmp_path / "pass")
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("link", "pipe", "absent", ""):
        with pytest.raises(AppError):
            passphrase_from_file({PASSPHRASE_FILE: str(tmp_path / name)})


@pytest.mark.parametrize("content", [b"", b"\n", b"x" * 1025, b"x" * 100_000])
def test_an_empty_or_endless_line_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(AppError, match="empty or far too long"):
        passphrase_from_file(private(tmp_path / "pass", content))
