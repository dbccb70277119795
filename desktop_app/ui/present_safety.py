"""The safety page as a view: how tasks are shut in, what that promises and does not, and each wall of the self-test.

Pure; called by that page. While the engine is silent nothing is claimed: what was true may not be any more.
"""

from dataclasses import dataclass

from desktop_app.core.state import Check, Level, Readiness, State
from desktop_app.ui.present import Heard, Silence, status
from desktop_app.wire import isolation, phrases
from desktop_app.wire.isolation import Remedy
from desktop_app.wire.phrases import say


@dataclass(frozen=True, slots=True)
class WallRow:
    """One wall: whether it held, and what the test met there."""

    name: str
    held: bool
    verdict: str
    seen: str


@dataclass(frozen=True, slots=True)
class SafetyView:
    """Everything on Safety. `promise` and `limit` are "" until there is a level."""

    practice: bool
    level: Level | None
    standing: str
    tested: str
    promise: str = ""
    limit: str = ""
    remedy: Remedy | None = None
    summary: str = ""
    walls: tuple[WallRow, ...] = ()  # those that fell first

    @property
    def spoken(self) -> str:
        """The level and all that is said of it, for those who listen."""
        words = say("safety.spoken", level=self.standing, tested=self.tested, promise=self.promise, limit=self.limit)
        return words.strip()


def view(heard: Heard) -> SafetyView:
    """The safety page."""
    if isinstance(heard, Silence):
        return SafetyView(False, None, say("safety.level.unknown"), status(heard).why)
    ready, practice = heard.readiness, heard.settings.network == "practice"
    if ready.level is None:
        standing = say("safety.level.testing" if ready.testing else "safety.level.untested")
        return SafetyView(practice, None, standing, _tested(heard, ready))
    return SafetyView(
        practice,
        ready.level,
        _capital(isolation.level(ready.level)),
        _tested(heard, ready),
        isolation.promise(ready.level),
        isolation.limit(ready.level),
        isolation.remedy(ready.fix) if ready.fix else None,
        _summary(ready.checks),
        tuple(_wall(check) for check in sorted(ready.checks, key=lambda check: check.held)),
    )


def _tested(state: State, ready: Readiness) -> str:
    if ready.testing:
        return say("safety.tested.now")
    if ready.level is None:
        return say("safety.tested.never")
    if ready.tested is None:
        return say("safety.tested.again")
    return say("safety.tested.at", when=phrases.ago(ready.tested.timestamp(), state.now, state.zone))


def _summary(checks: tuple[Check, ...]) -> str:
    fallen = sum(not check.held for check in checks)
    if not checks:
        return ""
    return say("safety.walls.some" if fallen else "safety.walls.all", fallen=str(fallen), count=str(len(checks)))


def _wall(check: Check) -> WallRow:
    seen = phrases.plain(check.seen)
    verdict = say("safety.wall.held" if check.held else "safety.wall.fallen")
    return WallRow(isolation.wall(check), check.held, verdict, say("safety.wall.seen", seen=seen) if seen else "")


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
