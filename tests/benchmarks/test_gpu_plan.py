"""The plan for a real GPU keeps working where there is none: what it says then, its time limits, and the parts that a CPU can do."""

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from desktop_app.adapters.nvml import Nvml
from tests.benchmarks import gpu_plan
from tests.benchmarks.gpu_plan import PARTS, SLACK_MB, Said, arguments, free_again, guarded, said, snapshot_gbps

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="sandboxes exist on Linux only so far")

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(bool(Nvml().find()), reason="a GPU is here: the plan would run")
@pytest.mark.parametrize("words", [[], ["bench"], ["--inside", "cuinit"]])
def test_without_a_gpu_it_says_so_in_a_sentence(words: list[str]) -> None:
    command = [sys.executable, "-m", "tests.benchmarks.gpu_plan", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", gpu_plan.NONE_HERE + "\n")


def test_all_parts_take_ten_minutes_at_most() -> None:
    assert sum(part.limit_s for part in PARTS.values()) <= 600


def test_parts_and_card_can_be_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    assert (arguments([]).parts, arguments([]).card) == ([], 0)
    chosen = arguments(["kill", "bench", "--card", "1"])
    assert (chosen.parts, chosen.card, chosen.inside) == (["kill", "bench"], 1, None)
    with pytest.raises(SystemExit):
        arguments(["cuda-checkpoint"])
    assert "there is no part" in capsys.readouterr().err


def test_a_part_that_takes_too_long_is_ended_with_all_it_started(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begun = time.monotonic()
    assert not guarded("kill", ["sh", "-c", "sleep 60 & wait"], 1.0, {"PART_OF": str(tmp_path)})
    assert time.monotonic() - begun < 10
    assert "kill was not measured: it took longer than 1 s" in capsys.readouterr().out
    end = time.monotonic() + 10
    while _parts_of(tmp_path) and time.monotonic() < end:
        time.sleep(0.02)  # until the kernel has taken it down
    assert _parts_of(tmp_path) == []


def _parts_of(place: Path) -> list[int]:
    """Processes that inherited that word from a part; one that has ended, reaped or not, shows none."""
    wanted, found = f"PART_OF={place}".encode(), []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def test_a_part_that_fails_is_not_called_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert not guarded("bench", ["false"], 10, {})
    assert "bench was not measured" in capsys.readouterr().out
    assert guarded("bench", ["sh", "-c", 'test "$CARD" = one'], 10, {"CARD": "one"})


@pytest.mark.parametrize("megabytes", [1, 16])
def test_a_state_is_committed_at_a_speed(megabytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By this thread's own time, and on no other: a millisecond's work may wait for twenty where other tests have the processors."""
    torch = pytest.importorskip("torch")
    from desktop_app.worker import snapshot

    torch.set_num_threads(1)
    monkeypatch.setattr(snapshot, "time", SimpleNamespace(perf_counter=time.thread_time))
    assert 0.05 < snapshot_gbps("cpu", megabytes, pinned=False) < 500


def test_memory_counts_as_free_when_it_is_back_at_the_baseline() -> None:
    told = iter([None, 9_000, 1_200 + SLACK_MB + 1, 1_200 + SLACK_MB])
    assert free_again(lambda: next(told), 1_200, 5)
    assert next(told, "asked once each") == "asked once each"
    assert not free_again(lambda: 9_000, 1_200, 0.05)


def test_what_the_sandbox_says_is_read_or_complained_of() -> None:
    line = b'{"nodes": ["nvidia0"], "init_ms": 1.5, "made": [0, 2], "refused": ""}\n'
    assert _heard(line) == Said(["nvidia0"], 1.5, [0, 2], "")
    with pytest.raises(RuntimeError, match="bwrap: no such device"):
        _heard(b"bwrap: no such device\n")
    with pytest.raises(RuntimeError, match="told nothing"):
        _heard(b"")


def test_without_a_driver_the_program_in_the_sandbox_says_what_refused_it() -> None:
    if Nvml().find():
        pytest.skip("a driver is here")
    done = subprocess.run([sys.executable, str(ROOT / "tests/adapters/one_kernel.py")], capture_output=True, check=True, timeout=60)
    answer = _heard(done.stdout)
    assert "libcuda" in answer.refused or "cuInit" in answer.refused


def _heard(printed: bytes) -> Said:
    reading, writing = os.pipe()
    try:
        os.write(writing, printed)
        os.close(writing)
        return said(reading, 1)
    finally:
        os.close(reading)
