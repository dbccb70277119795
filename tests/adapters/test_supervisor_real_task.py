"""The real worker with torch on the real digits, in the real sandbox: finished, interrupted and resumed to the same bytes."""

import os
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from desktop_app.adapters.supervisor import Tuning, run_sandboxed
from desktop_app.core import messages as m
from desktop_app.core.errors import AppError
from desktop_app.core.state import Trigger
from desktop_app.core.task import Blob, Lease
from desktop_app.wire.resources import resource
from tests.adapters.supervisor_house import LATER, LIMITS, House, house

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="sandboxes exist on Linux only so far"),
]

DATA = resource("practice/digits-train.safetensors")
PARAMS: dict[str, int | float] = {
    "features": 64, "classes": 10, "width": 64, "depth": 1, "batch": 64, "steps": 400, "lr": 0.003, "noise": 0.1, "weight_decay": 0.01,
}  # fmt: skip


def training(home: House, task_id: str) -> Lease:
    data = DATA.read_bytes()
    lease = home.lease(task_id=task_id, steps=400, limits=replace(LIMITS, ram_mb=1024))
    blob = Blob("data", home.put(data), len(data), "safetensors")
    manifest = replace(lease.manifest, kind="train.classifier/1", inputs=(blob,), params=tuple(sorted(PARAMS.items())))
    return replace(lease, manifest=manifest)


def test_an_interrupted_task_ends_with_the_same_model(tmp_path: Path) -> None:
    with house(tmp_path, Tuning(threads=1)) as home:
        home.supervisor.start(training(home, "whole"), None)
        whole = home.until(m.WorkerFinished, 90)

        lease, checkpoint = training(home, "parts"), None
        for _ in range(2):
            home.supervisor.start(lease, checkpoint)
            home.until(m.WorkerStarted, 60)
            home.until(m.WorkerProgressed)
            home.supervisor.give_back("parts", Trigger.CLICK, LATER)
            back = home.until(m.GpuGivenBack)
            checkpoint = back.checkpoint
            assert checkpoint is not None
            assert 0 < checkpoint.step < 400
        home.supervisor.start(lease, checkpoint)
        parts = home.until(m.WorkerFinished, 90)
    assert parts.result == whole.result, "the same bytes, however often it was interrupted"
    assert dict(whole.metrics)["train_accuracy"] > 0.9


def test_a_worker_refuses_a_checkpoint_of_another_step(tmp_path: Path) -> None:
    with house(tmp_path, Tuning(threads=1)) as home:
        lease = training(home, "parts")
        home.supervisor.start(lease, None)
        home.until(m.WorkerStarted, 60)
        home.until(m.WorkerProgressed)
        home.supervisor.give_back("parts", Trigger.CLICK, LATER)
        checkpoint = home.until(m.GpuGivenBack).checkpoint
        assert checkpoint is not None
        home.supervisor.start(lease, replace(checkpoint, step=checkpoint.step + 100))
        assert "not of step" in home.until(m.WorkerFailed, 60).detail


def test_one_thing_computed_and_waited_for(tmp_path: Path) -> None:
    files, metrics = run_sandboxed("train.classifier/1", {"data": DATA}, PARAMS | {"steps": 60}, 7, tmp_path / "out", 90)
    assert files == {"model": tmp_path / "out/model.safetensors"}
    assert files["model"].stat().st_size > 1000
    assert 0 < metrics["train_accuracy"] <= 1


def test_bad_input_is_said_in_words(tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.write_bytes(b"\x80\x04 no tensors")
    with pytest.raises(ValueError, match="bad_input"):
        run_sandboxed("train.classifier/1", {"data": bad}, PARAMS, 7, tmp_path / "out", 90)
    with pytest.raises(ValueError, match="knows no task"):
        run_sandboxed("mine.bitcoin/1", {"data": DATA}, {}, 7, tmp_path / "out", 90)


def test_one_killed_from_outside_says_nothing_about_the_task(tmp_path: Path) -> None:
    def kill() -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            for child in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):  # it may be about to become another program
                    if "runpy" in " ".join(child.cmdline()) and "bwrap" not in child.name():
                        child.kill()
                        return
            time.sleep(0.05)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(AppError, match="killed from outside"):
        run_sandboxed("train.classifier/1", {"data": DATA}, PARAMS | {"steps": 1_000_000}, 7, tmp_path / "out", 90)
    killer.join()


def test_what_takes_too_long_is_ended(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="longer"):
        run_sandboxed("train.classifier/1", {"data": DATA}, PARAMS | {"steps": 1_000_000}, 7, tmp_path / "out", 4)
