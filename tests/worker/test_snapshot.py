"""The worker's side of the arena: what it commits is what a reader of safetensors finds, whole at every instant."""

import itertools
import math
import os
from collections.abc import Iterator

import pytest
import torch
from safetensors.torch import load

from desktop_app.wire import arena as layout
from desktop_app.worker.snapshot import OFTEN_S, Arena, Cadence

LAYOUT = layout.Layout(64 << 10, 4096)

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="the arena is a memfd")


@pytest.fixture
def memory() -> Iterator[int]:
    descriptor = os.memfd_create("test")
    os.ftruncate(descriptor, LAYOUT.total)
    os.pwrite(descriptor, LAYOUT.prefix(), 0)
    os.pwrite(descriptor, bytes([layout.OPEN]), layout.GATE)
    yield descriptor
    os.close(descriptor)


def newest(descriptor: int) -> tuple[layout.SlotHeader, dict[str, torch.Tensor]]:
    headers = [layout.parse_header(os.pread(descriptor, layout.HEADER_BYTES, layout.header_at(slot)), LAYOUT) for slot in (0, 1)]
    found = layout.newest(headers)
    assert found is not None
    slot, header = found
    return header, load(os.pread(descriptor, header.length, LAYOUT.slot_at(slot)))


def state(value: float) -> dict[str, torch.Tensor]:
    return {
        "odd": torch.full((3,), int(value), dtype=torch.uint8),
        "weight": torch.full((5, 7), value),
        "half": torch.full((3,), value, dtype=torch.bfloat16),
        "wide": torch.tensor(value, dtype=torch.float64),
        "flag": torch.tensor([True, False]),
        "none": torch.zeros((0, 4)),
    }


def test_a_commit_reads_back_as_safetensors(memory: int) -> None:
    arena = Arena(memory)
    for step in (3, 4, 5):
        done = arena.commit(state(step), step)
        header, found = newest(memory)
        assert (header.seq, header.step) == (done.seq, step)
        assert int(found.pop(layout.STEP_TENSOR)) == step
        assert found.keys() == state(step).keys()
        assert all(torch.equal(found[name], value) for name, value in state(step).items())


def test_commits_alternate_so_that_the_one_before_stays(memory: int) -> None:
    arena = Arena(memory)
    arena.commit(state(1), 1)
    before = newest(memory)[0]
    broken = state(2) | {"weight": torch.zeros(1)}
    with pytest.raises(ValueError, match="weight"):
        arena.commit(broken, 2)  # dies half-way through the other slot
    assert newest(memory)[0] == before


@pytest.mark.parametrize(
    "changed",
    [
        {"weight": torch.zeros((5, 7), dtype=torch.float64)},
        {"more": torch.zeros(1)},
        {"weight": torch.zeros((7, 5))},
    ],
)
def test_another_shape_than_at_first_is_refused(memory: int, changed: dict[str, torch.Tensor]) -> None:
    arena = Arena(memory)
    arena.commit(state(1), 1)
    with pytest.raises(ValueError, match="tensor"):
        arena.commit(state(2) | changed, 2)


def test_of_a_state_that_grows_only_the_new_rows_are_copied(memory: int) -> None:
    arena, grown = Arena(memory), torch.zeros(40, 3)
    for step, rows in enumerate((2, 5, 9, 9, 40), 1):
        grown[:rows] = torch.arange(3.0 * rows).view(rows, 3) + 1
        arena.commit({"grown": grown}, step, rows)
        header, found = newest(memory)
        assert (header.step, torch.equal(found["grown"], grown)) == (step, True)
    grown[:9] = 0  # which no such state does: it shows what a commit looks at
    arena.commit({"grown": grown}, 6, 40)
    assert bool((newest(memory)[1]["grown"][:9] != 0).all())
    arena.commit({"grown": grown}, 7)
    assert torch.equal(newest(memory)[1]["grown"], grown), "without a word on its rows all is copied"
    grown[:] = 7
    for step in (8, 9):
        arena.commit({"grown": grown}, step, 40)
    assert torch.equal(newest(memory)[1]["grown"], grown), "and nothing counts as held after that"


def test_a_state_too_large_is_refused(memory: int) -> None:
    with pytest.raises(ValueError, match="larger"):
        Arena(memory).commit({"weight": torch.zeros(70_000)}, 1)


def test_a_type_that_no_reader_knows_is_refused(memory: int) -> None:
    with pytest.raises(ValueError, match="type"):
        Arena(memory).commit({"weight": torch.zeros(4, dtype=torch.complex64)}, 1)


def test_the_gate_is_read_from_the_memory(memory: int) -> None:
    arena = Arena(memory)
    assert arena.may_begin(0)
    os.pwrite(memory, bytes([layout.CLOSED]), layout.GATE)
    assert not arena.may_begin(1)


def test_the_steps_done_are_noted_whether_or_not_there_is_another(memory: int) -> None:
    arena = Arena(memory)
    for step, gate in ((7, layout.OPEN), (8, layout.CLOSED)):
        os.pwrite(memory, bytes([gate]), layout.GATE)
        arena.may_begin(step)
        assert layout.STEPS.unpack(os.pread(memory, 8, layout.STEPS_AT)) == (step,)


def test_outputs_lie_one_behind_the_other_and_no_further(memory: int) -> None:
    arena = Arena(memory)
    assert [arena.output(b"one"), arena.output(b"second")] == [(0, 3), (3, 6)]
    assert os.pread(memory, 9, LAYOUT.output_at) == b"onesecond"
    with pytest.raises(ValueError, match="larger"):
        arena.output(bytes(4096))


def worked(cadence: Cadence, seconds: float, steps: int, takes: float) -> list[int]:
    """The steps after which a commit was made, each of which took so long."""
    made = []
    for index in range(steps):
        if cadence.stepped(seconds):
            cadence.committed(takes)
            made.append(index)
    return made


@pytest.mark.parametrize(("step", "takes"), [(0.002, 0.001), (0.02, 0.0005), (0.05, 0.4), (0.001, 0.05)])
def test_commits_take_half_a_percent_of_the_time_at_most(step: float, takes: float) -> None:
    made = worked(Cadence(at_latest=1_000_000, first_bytes=round(takes * 1e9)), step, 100_000, takes)
    gaps = {later - sooner for sooner, later in itertools.pairwise([-1, *made])}
    assert gaps <= {math.ceil(max(takes / 0.005, OFTEN_S) / step) + extra for extra in (0, 1)}


def test_a_first_commit_that_takes_far_longer_is_paid_back() -> None:
    cadence = Cadence(at_latest=1_000_000, first_bytes=1_000_000)
    assert worked(cadence, 0.01, 25, 0.03) == [24]
    assert worked(cadence, 0.01, 1_170, 0.001) == [], "it took 30 ms, and the next may: twelve seconds' worth"
    assert len(worked(cadence, 0.01, 20, 0.001)) == 1


def test_a_step_that_is_slow_to_begin_with_does_not_bring_commits_in_a_row() -> None:
    cadence = Cadence(at_latest=1_000_000, first_bytes=40_000_000)
    cadence.stepped(60.0)  # the first step of a device that wakes up
    made = worked(cadence, 0.002, 20_000, 0.02)
    assert len(made) <= 11 and min(later - sooner for sooner, later in itertools.pairwise(made)) >= 2_000


def test_a_task_may_wish_for_more_but_not_for_more_than_was_promised() -> None:
    assert len(worked(Cadence(at_latest=50, first_bytes=0), 0.01, 200, 0.0001)) >= 7, "no reason to wait for the wish"
    assert len(worked(Cadence(at_latest=5, first_bytes=0), 0.01, 200, 0.0001)) == 40, "nor to come later than wished"
    often = worked(Cadence(at_latest=50, first_bytes=3_000_000), 0.01, 5_000, 0.003)
    assert {later - sooner for sooner, later in itertools.pairwise(often)} == {50}, "0.6 % of the time"
    dear = worked(Cadence(at_latest=50, first_bytes=30_000_000), 0.01, 50_000, 0.03)
    assert len(dear) * 0.03 / (50_000 * 0.01) == pytest.approx(0.009, rel=0.02)


def test_a_result_written_in_its_place_is_not_moved(memory: int) -> None:
    arena = Arena(memory)
    room = arena.room(6)
    assert arena.output(b"one") == (6, 3)
    room[:] = b"result"
    assert arena.output(room) == (0, 6)
    assert arena.output(memoryview(b"result")) == (9, 6), "the same words are not the same place"
    with pytest.raises(ValueError, match="larger than"):
        arena.room(1 << 30)
