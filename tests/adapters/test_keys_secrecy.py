"""Keys under bad luck and prying eyes: a kill or a full disk at any moment, and no secret where it could be read."""

import logging
import resource
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import pytest
from eth_account import Account

from desktop_app.adapters.keys import OPERATOR, WALLET, Keys
from desktop_app.adapters.keys.files import KeyFile
from desktop_app.core.errors import AppError
from desktop_app.wire.eip712 import TypedMessage

PASSPHRASE = "four words nobody links"
CHEAP = 1 << 4

RESTORER = f"""
import sys
from pathlib import Path
from desktop_app.adapters.keys import Keys
keys = Keys(Path(sys.argv[1]), lambda: bytearray({PASSPHRASE.encode()!r}), n={CHEAP})
keys.create_or_open()
words = " ".join(keys.words())
print("ready", flush=True)
while True:
    keys.restore(words)
"""


def keys_in(folder: Path, passphrase: str = PASSPHRASE) -> Keys:
    return Keys(folder, lambda: bytearray(passphrase.encode()), n=CHEAP)


def test_a_kill_in_the_middle_of_a_write_leaves_whole_keys(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    made = keys_in(folder).create_or_open()
    for trial in range(6):
        with subprocess.Popen([sys.executable, "-c", RESTORER, str(folder)], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None and child.stdout.readline() == b"ready\n"
            time.sleep(0.02 + 0.013 * trial)
            child.send_signal(signal.SIGKILL)
        assert keys_in(folder).create_or_open() == made


def test_a_full_disk_is_said_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    code = f"""
import resource, signal, sys
from pathlib import Path
from desktop_app.adapters.keys import Keys
from desktop_app.core.errors import AppError
from desktop_app.wire.eip712 import TypedMessage
keys = Keys(Path(sys.argv[1]), lambda: bytearray({PASSPHRASE.encode()!r}), n={CHEAP})
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    keys.create_or_open()
except AppError as error:
    print(error.title, error.advice)
"""
    done = subprocess.run([sys.executable, "-B", "-c", code, str(folder)], capture_output=True, text=True, check=True)
    assert "cannot be written" in done.stdout and "Make room" in done.stdout
    assert list(folder.iterdir()) == []
    assert not keys_in(folder).create_or_open().needs_passphrase


def secrets_of(keys: Keys, folder: Path) -> list[bytes]:
    """Every form in which a secret could show."""
    found = [PASSPHRASE.encode(), PASSPHRASE.encode().hex().encode(), " ".join(keys.words()).encode()]
    for role in (WALLET, OPERATOR):
        key = bytes(Account.decrypt((folder / f"{role}.json").read_text(), PASSPHRASE))
        found += [key, key.hex().encode(), repr(key)[2:-1].encode(), str(int.from_bytes(key, "big")).encode()]
    return found


def test_no_secret_in_files_reprs_errors_or_logs(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    folder = tmp_path / "keys"
    keys = keys_in(folder)
    keys.create_or_open()
    seen = []
    with keys.unlock_wallet():
        seen += [repr(keys), str(keys), f"{keys}"]
    wrong = keys_in(folder, "four words anybody links")
    broken: TypedMessage = {"types": {"A": [{"name": "x", "type": "nonsense"}]}, "primaryType": "A", "domain": {}, "message": {"x": 1}}
    for attempt in (
        lambda: wrong.create_or_open(),
        lambda: wrong.words(),
        lambda: keys.sign_message(WALLET, b"pay"),
        lambda: keys.sign_typed(OPERATOR, broken),
        lambda: keys.sign_transaction(OPERATOR, {"to": "nowhere"}),
        lambda: keys.restore("wrong words"),
    ):
        with pytest.raises((AppError, ValueError, TypeError, KeyError)) as caught:
            attempt()
        seen += traceback.format_exception(caught.value)
    seen.append(repr(KeyFile.__doc__))
    haystack = "\n".join([*seen, caplog.text]).encode()
    haystack += b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for secret in secrets_of(keys, folder):
        assert secret not in haystack
    assert list((tmp_path / "tmp").iterdir()) == []


def test_unlocking_gives_its_memory_back(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys", lambda: bytearray(PASSPHRASE.encode()))
    keys.create_or_open()
    pages = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    with keys.unlock_wallet():
        pass
    grown = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() - pages
    assert grown < 16 << 20
