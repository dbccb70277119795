"""Blobs on this machine: whole or not at all, gone with their task, and never more than there is room for."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from desktop_app.adapters.supervisor.blobs import Blobs


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs", tmp_path / "tasks")


def make(blobs: Blobs, task_id: str, data: bytes) -> str:
    sha256 = hashlib.sha256(data).hexdigest()
    with blobs.incoming() as incoming:
        incoming.write(data)
        blobs.note_made(task_id, sha256)
        incoming.keep(sha256)
    return sha256


def names(tmp_path: Path) -> set[str]:
    return {place.name for place in (tmp_path / "blobs").iterdir()}


def test_a_blob_that_was_not_kept_leaves_nothing(blobs: Blobs, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="broken"), blobs.incoming() as incoming:
        incoming.write(b"half of it")
        raise OSError("broken")
    assert names(tmp_path) == set()


def test_only_hashes_are_names(blobs: Blobs) -> None:
    for name in ("", "../settings.json", "ab" * 31, "AB" * 32, "ab" * 32 + "\n"):
        with pytest.raises(ValueError, match="sha256"):
            blobs.path(name)


def test_what_two_tasks_have_outlives_one(blobs: Blobs, tmp_path: Path) -> None:
    shared, own = make(blobs, "one", b"shared"), make(blobs, "one", b"own")
    blobs.note_used("two", [shared])
    blobs.delete(blobs.forget("one"))
    assert names(tmp_path) == {shared}
    assert own != shared


def test_a_list_cut_short_by_a_crash_is_read_as_far_as_it_goes(blobs: Blobs, tmp_path: Path) -> None:
    made = make(blobs, "one", b"a")
    with (tmp_path / "tasks/one/blobs.txt").open("a") as file:
        file.write("made abc\nmade")
    blobs.delete(blobs.forget("one"))
    assert not blobs.path(made).exists()


def test_old_inputs_go_when_there_are_too_many(blobs: Blobs, tmp_path: Path) -> None:
    old, used, new = (make(blobs, task, data) for task, data in (("gone", b"o" * 100), ("here", b"u" * 100), ("gone", b"n" * 100)))
    long_ago = time.time() - 7200
    for sha256 in (old, used):
        os.utime(blobs.path(sha256), (long_ago, long_ago))
    (tmp_path / "tasks/gone/blobs.txt").unlink()
    blobs.trim(most_bytes=1000)
    assert names(tmp_path) == {old, used, new}
    blobs.trim(most_bytes=150)
    assert names(tmp_path) == {used, new}


def test_halves_left_by_a_crash_go(blobs: Blobs, tmp_path: Path) -> None:
    half = tmp_path / "blobs/.incoming-x"
    half.write_bytes(b"x")
    blobs.trim()
    assert half.exists(), "it may be on its way"
    os.utime(half, (0, 0))
    blobs.trim()
    assert not half.exists()
