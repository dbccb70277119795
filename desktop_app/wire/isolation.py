"""The words for how well a task is shut in: what each level promises, what it does not, and what each wall is.

Promises are made for what was tried on this machine, never for more. Called by the command line and the windows.
"""

import re
from dataclasses import dataclass

from desktop_app.core.state import Check, Level
from desktop_app.wire.phrases import MOST_ADVICE, plain, say, words

_COMMAND = re.compile(r"(?<=: )(?:sudo|echo|--security-opt) [^,(]+")
"""How a command, or what is added to one, begins in the advice, and what ends it: a remark behind a comma or in brackets."""


@dataclass(frozen=True, slots=True)
class Remedy:
    """What the owner can do: a sentence, the exact line to type ("" where there is none), and what is said after it."""

    words: str
    command: str = ""
    more: str = ""


def level(of: Level) -> str:
    """Its name."""
    return say(f"level.{of}")


def promise(of: Level) -> str:
    """What the owner can rely on."""
    return say(f"level.{of}.promise")


def limit(of: Level) -> str:
    """What the owner cannot rely on."""
    return say(f"level.{of}.limit")


def wall(check: Check) -> str:
    """What one check of the self-test tried."""
    key = f"wall.{check.name}"
    return say(key) if key in words() else plain(check.name)


def remedy(fix: str) -> Remedy:
    """The advice for a sandbox that does not hold, with its command apart, so that it can be copied alone."""
    said = plain(fix, MOST_ADVICE)
    found = _COMMAND.search(said)
    if found is None:
        return Remedy(said)
    return Remedy(said[: found.start()].strip(), found[0].strip(), said[found.end() :].strip(" ,"))
