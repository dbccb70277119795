"""The supervisor's small parts, each by itself: arena, log, patience."""

import fcntl
import json
import os
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from desktop_app.adapters.supervisor import cage, stale, vram
from desktop_app.adapters.supervisor.arena import Arena, Torn
from desktop_app.adapters.supervisor.limits import Enclosure
from desktop_app.adapters.supervisor.log import BURST_BYTES, BYTES_PER_S, FILE_BYTES, RING_BYTES, WorkerLog
from desktop_app.adapters.supervisor.watch import Patience, Watch
from desktop_app.wire import arena as layout

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="sandboxes exist on Linux only so far")


def payload(step: int, filler: bytes) -> bytes:
    specs = [layout.TensorSpec(layout.STEP_TENSOR, "I64", ()), layout.TensorSpec("w", "U8", (len(filler),))]
    return layout.payload_header(specs) + struct.pack("<q", step) + filler


def write(arena: Arena, seq: int, data: bytes, step: int) -> None:
    slot = seq % 2
    os.pwrite(arena.fd, data, arena.layout.slot_at(slot))
    os.pwrite(arena.fd, layout.pack_header(layout.SlotHeader(seq, step, len(data))), layout.header_at(slot))


def test_the_memory_can_be_neither_cut_nor_grown() -> None:
    arena = Arena(1 << 20, 4096)
    for size in (0, arena.layout.total + 1):
        with pytest.raises(PermissionError):
            os.ftruncate(arena.fd, size)
    with pytest.raises(PermissionError):
        fcntl.fcntl(arena.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    arena.close()


def test_the_newest_state_is_copied() -> None:
    arena = Arena(3 << 20, 4096)
    got: list[bytes] = []
    assert arena.copy_newest(got.append) is None
    for seq, step in ((1, 10), (2, 20), (3, 30)):
        write(arena, seq, payload(step, bytes([seq]) * 2_500_000), step)
    copied = arena.copy_newest(got.append)
    assert copied is not None
    assert (copied.seq, copied.step, copied.length) == (3, 30, len(b"".join(got)))
    assert b"".join(got) == payload(30, b"\x03" * 2_500_000)
    arena.close()


@pytest.mark.parametrize("data", [b"\x80\x04", os.urandom(5000), payload(9, b"x"), payload(10, b"x")[:-1], payload(10, b"x") + b"y"])
def test_what_is_no_state_of_that_step_is_torn(data: bytes) -> None:
    arena = Arena(1 << 20, 4096)
    write(arena, 1, data, 10)
    with pytest.raises(Torn):
        arena.copy_newest(lambda piece: None)
    arena.close()


def test_a_state_overwritten_while_it_is_copied_is_torn() -> None:
    arena = Arena(4 << 20, 4096)
    write(arena, 1, payload(1, b"a" * 3_000_000), 1)
    with pytest.raises(Torn):
        arena.copy_newest(lambda piece: write(arena, 3, payload(3, b"b" * 3_000_000), 3))
    arena.close()


def test_outputs_outside_their_room_are_refused() -> None:
    arena = Arena(4096, 4096)
    for offset, length in ((4000, 97), (4097, 0), (2**53, 1)):
        with pytest.raises(ValueError, match="outside"):
            arena.read_output(offset, length, lambda piece: None)
    arena.close()


def test_closing_the_gate_is_seen_in_the_memory() -> None:
    arena = Arena(4096, 4096)
    assert os.pread(arena.fd, 1, layout.GATE) == bytes([layout.OPEN])
    thread = threading.Thread(target=arena.close_gate)
    thread.start()
    thread.join()
    assert os.pread(arena.fd, 1, layout.GATE) == bytes([layout.CLOSED])
    arena.close()


def test_the_log_is_clean_and_bounded(tmp_path: Path) -> None:
    log = WorkerLog(tmp_path / "logs/worker.log")
    log.feed(b"plain \x1b[2Jtext\x1b]0;title\x07 \xc2\x9b31m \x08end\n")
    assert log.tail() == "plain text 31m end"
    for _ in range(40):
        log.feed(b"x" * (1 << 19))
    assert sum(place.stat().st_size for place in (tmp_path / "logs").iterdir()) <= 2 * FILE_BYTES
    assert len(log.tail(10 * RING_BYTES)) <= RING_BYTES


def test_a_control_character_in_two_pieces_is_one(tmp_path: Path) -> None:
    log = WorkerLog(tmp_path / "worker.log")
    log.feed(b"a\xc2")
    log.feed(b"\x9b31mb\xc3")
    log.feed("\u00a9\u202ec".encode())
    assert (tmp_path / "worker.log").read_bytes().startswith(b"a31mb")
    assert b"\xc2\x9b" not in (tmp_path / "worker.log").read_bytes()
    assert log.tail().endswith("\u00a9?c")


def test_a_flood_does_not_wear_out_the_disk(tmp_path: Path) -> None:
    now = [0.0]
    log = WorkerLog(tmp_path / "worker.log", lambda: now[0])
    written = 0
    for _ in range(600):  # a minute of ten pieces a second: 37 MB
        before = _size(tmp_path)
        log.feed(b"x" * 60_000 + b"the end\n")
        written += max(0, _size(tmp_path) - before)
        now[0] += 0.1
    assert written <= BURST_BYTES + 60 * BYTES_PER_S + 60_000
    assert log.tail(20).endswith("the end")
    now[0] += 3600
    log.feed(b"quiet again\n")
    assert b"bytes left out: it printed too much]\nquiet again" in (tmp_path / "worker.log").read_bytes()


def _size(folder: Path) -> int:
    return sum(place.stat().st_size for place in folder.iterdir())


def test_a_log_that_cannot_be_written_costs_only_the_log(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    log = WorkerLog(tmp_path / "logs/worker.log")
    log.feed(b"still here")
    assert log.tail() == "still here"


def watch() -> Watch:
    return Watch(Patience(start_s=180, silence_s=15, stall_s=30, result_s=120), wall_s=3600, now=0.0)


def test_a_start_may_take_its_time_and_no_longer() -> None:
    one = watch()
    assert one.complaint(179) is None
    assert "not ready" in str(one.complaint(181))


def test_silence_is_a_complaint() -> None:
    one = watch()
    one.ready(0, 5)
    one.heard(10)
    assert one.complaint(25) is None
    assert "no sign of life" in str(one.complaint(25.1))


def test_a_stall_is_a_complaint_after_ten_median_steps_if_that_is_longer() -> None:
    quick, slow = watch(), watch()
    for one, pace in ((quick, 1.0), (slow, 10.0)):
        one.ready(0, 0)
        for step in range(1, 8):
            one.reached(step, 100, step * pace)
            one.heard(step * pace)
    quick.heard(37)
    slow.heard(169)
    assert quick.complaint(37) is None
    quick.heard(38)
    assert "no step" in str(quick.complaint(38))
    assert slow.complaint(169) is None
    slow.heard(171)
    assert "no step for 100 s" in str(slow.complaint(171))


def test_the_result_may_take_longer_than_a_step() -> None:
    one = watch()
    one.ready(0, 0)
    one.reached(10, 10, 1)
    one.heard(120)
    assert one.complaint(120) is None
    one.heard(122)
    assert "no step" in str(one.complaint(122))


def test_saying_the_same_step_again_is_no_progress() -> None:
    one = watch()
    one.ready(5, 0)
    for second in range(40):
        one.reached(5, 10, second)
        one.heard(second)
    assert "no step" in str(one.complaint(39))


def test_the_wall_is_a_complaint() -> None:
    one = watch()
    one.ready(0, 0)
    one.reached(1, 10, 3600)
    one.heard(3600)
    assert "longer" in str(one.complaint(3601))


def test_a_machine_that_stood_still_looks_once_more_before_it_says_that_memory_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vram, "_PATIENCE_S", 0.05)
    looks = iter((8 << 30, 2 << 30))

    def free() -> int:
        """The second answer, that it is not free yet, comes when all patience is over; then it is free."""
        told = next(looks, 8 << 30)
        time.sleep(0.1 if told < 8 << 30 else 0)
        return told

    one = vram.Vram(free, None)
    one.begin()
    back = one.wait_free()
    assert back.at is not None and not back.held


def test_what_the_sandbox_has_just_made_is_ended_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process 1, made a moment after it was looked for, is not yet bound to die with the one that made it."""
    program = "import os, time; os.fork() or time.sleep(60); os.wait()"
    (info, info_end), (log, log_end) = os.pipe(), os.pipe()
    made = cage.Cage(subprocess.Popen((sys.executable, "-c", program)), info, log, Enclosure())
    while not (children := cage._children(made.outer.pid)):
        time.sleep(0.01)
    inner = os.pidfd_open(children[0])
    looks = iter([[], *[children] * 9])
    monkeypatch.setattr(cage, "_children", lambda _pid: next(looks))
    try:
        made.kill()
        assert made.wait_gone(10) and select.select([inner], [], [], 10)[0]
    finally:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(inner, signal.SIGKILL)
        for descriptor in (inner, info_end, log_end):
            os.close(descriptor)
        made.close()


def test_a_note_that_is_just_being_renewed_is_never_half_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent may die at any moment of it: the next one must find the worker."""
    one, write, seen = stale.Stale(tmp_path), Path.write_text, []

    def torn(place: Path, text: str) -> int:
        write(place, text[:5])
        seen.append(json.loads((tmp_path / "task/worker.json").read_text()))
        return write(place, text)

    one.note("task", os.getppid())
    monkeypatch.setattr(Path, "write_text", torn)
    one.note("task", os.getppid(), os.getpid())
    assert [len(pids) for pids in seen] == [1]
    assert len(json.loads((tmp_path / "task/worker.json").read_text())) == 2
    one.clear("task")
    assert list(tmp_path.iterdir()) == []
