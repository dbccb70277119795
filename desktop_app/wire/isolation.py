"""The words for how well a task is shut in: what each level promises, what it does not, and what each wall is.

Promises are made for what was tried on this machine, never for more. Called by the command line and the windows.
"""

from desktop_app.core.state import Check, Level
from desktop_app.wire.phrases import plain, say, words


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
