"""Each level and each wall of the sandbox has words, and a level's words do not promise more than the level does."""

import sys

import pytest

from desktop_app.core.state import Check, Level
from desktop_app.wire import isolation, phrases


@pytest.mark.parametrize("level", Level)
def test_each_level_says_what_it_is_what_it_promises_and_what_it_does_not(level: Level) -> None:
    said = [isolation.level(level), isolation.promise(level), isolation.limit(level)]
    assert all(said)
    assert len(set(said)) == 3


def test_only_the_isolated_level_promises_that_nothing_is_touched() -> None:
    promising = [level for level in Level if "none of your files" in isolation.promise(level)]
    assert promising == [Level.ISOLATED]


@pytest.mark.skipif(sys.platform != "linux", reason="walls exist on Linux only so far")
def test_each_wall_that_is_tried_has_words_and_no_other_has() -> None:
    from desktop_app.adapters.supervisor import selftest, walls

    tried = walls.QUICK | selftest.EXPECTED | {"sandbox_starts"}
    assert {f"wall.{name}" for name in tried} == {key for key in phrases.words() if key.startswith("wall.")}


def test_a_wall_without_words_is_named_as_it_is() -> None:
    assert isolation.wall(Check("no_tcp", True)) == "No way to this computer by TCP"
    assert isolation.wall(Check("something\nnew", True)) == "something new"
