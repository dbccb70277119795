"""What a full disk does to the store, tried on a real one: run inside a sandbox where the folder named first is a tmpfs of two megabytes.

Started by test_store.py. The second argument says when the disk fills: `during` our run or `before` it. Exit 0: all held.
"""

import sys
from dataclasses import replace
from pathlib import Path

from desktop_app.adapters.store import Store
from desktop_app.core.errors import AppError
from desktop_app.core.settings import Settings
from desktop_app.core.state import EPOCH, Notice, NoticeKind, Sharing, State

DISK = Path(sys.argv[1])
HOME = DISK / "profile"
BEFORE = State(settings=Settings(tariff=111_111), sharing=Sharing(on=True))
LATER = replace(
    BEFORE,
    settings=Settings(tariff=222_222),
    notices=tuple(Notice(NoticeKind.TROUBLE, EPOCH, f"{number:05} " + "x" * 90) for number in range(1_000)),
)


def fill() -> None:
    """To the last byte."""
    with (DISK / "filler").open("ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


def store() -> Store:
    return Store(HOME / "settings.json", HOME / "sublet.sqlite")


def must_be_refused(one: Store) -> None:
    try:
        one.save(LATER, (b"a line of the story",))
    except AppError as error:
        assert error.title == "The disk is full.", error
        assert str(HOME) in error.advice, error
    else:
        raise AssertionError("the disk took more than it holds")
    assert not list(HOME.glob(".*")), "a half-written file was left"


def during() -> None:
    one = store()
    one.open()
    one.save(BEFORE, (b"the first line",))
    fill()
    must_be_refused(one)
    must_be_refused(one)
    (DISK / "filler").unlink()
    one.save(LATER, (b"a line of the story",))
    assert one.story() == (b"the first line", b"a line of the story")
    one.close()
    assert store().open().state == LATER


def before() -> None:
    one = store()
    one.open()
    one.save(BEFORE)
    one.close()
    fill()
    two = store()
    loaded = two.open()
    assert loaded.state == BEFORE
    assert loaded.problems == ()
    must_be_refused(two)
    two.close()
    (DISK / "filler").unlink()
    assert store().open().state == BEFORE


if __name__ == "__main__":
    {"during": during, "before": before}[sys.argv[2]]()
