"""The socket's language: what is said is understood, and what is not said in it ends the conversation."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desktop_app.core import messages as m
from desktop_app.core.state import State
from desktop_app.wire import link
from tests.builders import a_record, a_state

FRAMES: tuple[tuple[bytes, link.Frame], ...] = (
    (link.encode_hello(42), link.Hello(link.VERSION, 42)),
    (link.encode_message(m.OwnerTurnedSharing(on=True)), link.Post(m.OwnerTurnedSharing(on=True))),
    (link.encode_secret("unlock", "pässwörd 🗝"), link.Secret("unlock", "pässwörd 🗝")),
    (link.encode_snapshot(a_state()), link.Snapshot(a_state())),
    (link.encode_answer(ok=True), link.Answer(ok=True)),
    (link.encode_answer(ok=False, detail="no"), link.Answer(ok=False, detail="no")),
)


@pytest.mark.parametrize(("data", "frame"), FRAMES, ids=[type(frame).__name__ for _, frame in FRAMES])
def test_what_is_said_is_understood(data: bytes, frame: link.Frame) -> None:
    assert link.Frames().feed(data) == [frame]


@settings(deadline=None)
@given(st.lists(st.sampled_from(FRAMES), max_size=6), st.integers(1, 4_000))
def test_a_stream_may_be_cut_anywhere(said: list[tuple[bytes, link.Frame]], size: int) -> None:
    data = b"".join(one for one, _ in said)
    frames = link.Frames()
    heard = [frame for start in range(0, len(data), size) for frame in frames.feed(data[start : start + size])]
    assert heard == [frame for _, frame in said]


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_nonsense_is_a_broken_frame_and_nothing_worse(data: bytes) -> None:
    for stream in (data, struct.pack(">I", len(data)) + data):
        try:
            link.Frames().feed(stream)
        except link.BrokenFrame as error:
            assert str(error)


def test_the_limit_is_on_the_announcement_so_that_nothing_is_kept_waiting_for() -> None:
    assert link.Frames(limit=10).feed(struct.pack(">I", 10)) == []
    with pytest.raises(link.BrokenFrame, match="over the limit"):
        link.Frames(limit=10).feed(struct.pack(">I", 11))


def test_a_frame_over_the_limit_is_not_made() -> None:
    with pytest.raises(link.BrokenFrame, match="over its limit"):
        link.encode_secret("unlock", "x" * link.MAX_FRAME)


def test_a_state_as_large_as_it_gets_fits_a_frame() -> None:
    full = a_state(history=tuple(a_record(f"task-{number}") for number in range(500)))
    assert len(link.encode_snapshot(full)) < link.MAX_FRAME // 2
    assert len(link.encode_snapshot(State())) < 5_000


def test_a_secret_is_in_no_repr() -> None:
    assert "hunter2" not in repr(link.Secret("unlock", "hunter2")) + f"{link.Frames().feed(link.encode_secret('unlock', 'hunter2'))}"
