"""What becomes of the tour's agent when the tour does not come to its end; the whole road is walked in `flows/test_road.py`."""

import sys
import time
from pathlib import Path

import pytest

from desktop_app.core.errors import AppError
from desktop_app.practice import tour
from desktop_app.wire.profile import Profile


def test_a_tour_that_breaks_off_lets_its_agent_end_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the agent has started writes into the tour's folder until the agent has ended it."""
    script, up, word = tmp_path / "python", tmp_path / "up", tmp_path / "word"
    script.write_text(f"#!/bin/sh\ntrap 'echo ended > {word}; exit' TERM\n: > {up}\nwhile :; do sleep 0.1; done\n")
    script.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(script))
    with pytest.raises(AppError, match="in vain"), tour._agent(Profile(tmp_path / "profile")):
        end = time.monotonic() + 30
        while not up.exists():
            assert time.monotonic() < end
            time.sleep(0.01)
        raise AppError("The tour waited in vain.", "")
    assert word.read_text() == "ended\n"
