"""Windows' signs of the owner, through stand-ins for its functions.

UNPROVEN on Windows: these tests show that the right functions are called and their answers read as documented; the real
functions have not answered yet.
"""

import ctypes
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

from desktop_app.adapters.presence.windows import Calls, LastInput, Monitor, Rect, SessionInfo, WindowsEyes

_T = TypeVar("_T")

SCREEN = (0, 0, 2560, 1440)
DAY_MS = 86_400_000


@dataclass
class Machine:
    """What the functions answer."""

    tick: int = 10_000
    last_input: int | None = 4_000
    flags: int | None = 1
    level: int = 1
    desktop: int = 77
    remote: int = 0
    state: int = 5
    state_known: bool = True
    window: int = 4711
    place: tuple[int, int, int, int] | None = (100, 100, 800, 600)
    monitor: tuple[int, int, int, int] | None = SCREEN
    name: str = "UnityWndClass"
    pid: int = 99
    freed: list[int | None] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)
    _session: SessionInfo = field(default_factory=SessionInfo)

    def eyes(self) -> WindowsEyes:
        return WindowsEyes(Calls(
            self.get_last_input, lambda: self.tick, self.metric, self.open_desktop, self.close_desktop, lambda: self.window,
            self.rect, self.class_name, self.owner, lambda window, how: 1 if (window, how) == (self.window, 2) else 0,
            self.monitor_info, self.notification_state, self.session, self.free,
        ))  # fmt: skip

    def get_last_input(self, into: object) -> int:
        told = _at(into, LastInput)
        if told.size != 8 or self.last_input is None:
            return 0
        told.tick = self.last_input
        return 1

    def metric(self, which: int) -> int:
        return self.remote if which == 0x1000 else 3

    def open_desktop(self, _flags: int, _inherit: int, right: int) -> int:
        return self.desktop if right == 0x0100 else 0

    def close_desktop(self, desktop: int) -> int:
        self.closed.append(desktop)
        return 1

    def rect(self, window: int, into: object) -> int:
        return _fill(_at(into, Rect), self.place) if window == self.window else 0

    def monitor_info(self, monitor: int, into: object) -> int:
        told = _at(into, Monitor)
        return _fill(told.whole, self.monitor) if monitor == 1 and told.size == 40 else 0

    def class_name(self, _window: int, into: "ctypes.Array[ctypes.c_wchar]", length: int) -> int:
        into.value = self.name[: length - 1]
        return len(into.value)

    def owner(self, window: int, into: object) -> int:
        _at(into, ctypes.c_uint32).value = self.pid if window == self.window else 0
        return 1

    def notification_state(self, into: object) -> int:
        _at(into, ctypes.c_int).value = self.state
        return 0 if self.state_known else -1

    def session(self, server: object, session: int, what: int, buffer: object, size: object) -> int:
        if self.flags is None or (server, session, what) != (None, 0xFFFFFFFF, 25):
            return 0
        self._session.level, self._session.flags = self.level, self.flags
        _at(buffer, ctypes.c_void_p).value = ctypes.addressof(self._session)
        _at(size, ctypes.c_uint32).value = 232
        return 1

    def free(self, buffer: ctypes.c_void_p) -> int:
        self.freed.append(buffer.value)
        return 0


def _at(reference: object, kind: type[_T]) -> _T:
    """What a function of Windows sees behind the pointer it is given."""
    told: object = reference._obj  # type: ignore[attr-defined]
    assert isinstance(told, kind)
    return told


def _fill(rect: Rect, edges: tuple[int, int, int, int] | None) -> int:
    if edges is None:
        return 0
    rect.left, rect.top, rect.right, rect.bottom = edges
    return 1


def test_an_owner_at_work() -> None:
    seen = Machine().eyes().look()
    assert (seen.idle_s, seen.locked, seen.full_screen, seen.remote, seen.game_mode) == (6.0, False, False, False, None)


@pytest.mark.parametrize(
    ("tick", "last_input", "idle_s"),
    [
        (5_000, 5_000, 0.0),
        (2_000, 2**32 - 3_000, 5.0),  # the counter started anew in between
        (5_000, 5_016, 0.0),  # touched after the tick was read
        (0, 2**32 - 1, 0.001),
        (40 * DAY_MS, 0, 40 * 86_400.0),
        (5_000, None, None),
    ],
)
def test_idle_time_survives_the_counters_new_start(tick: int, last_input: int | None, idle_s: float | None) -> None:
    assert Machine(tick=tick, last_input=last_input).eyes().look().idle_s == idle_s


@pytest.mark.parametrize(
    ("flags", "level", "desktop", "locked"),
    [
        (0, 1, 77, True),
        (1, 1, 0, False),
        (-1, 1, 77, False),
        (-1, 1, 0, True),
        (None, 1, 77, False),
        (None, 1, 0, True),
        (0, 2, 77, False),
    ],
)
def test_the_lock_is_the_sessions_flag_else_who_has_the_desktop(flags: int | None, level: int, desktop: int, locked: bool) -> None:
    machine = Machine(flags=flags, level=level, desktop=desktop)
    assert machine.eyes().look().locked is locked
    assert len(machine.freed) == (flags is not None), "what Windows hands out is given back"
    assert all(handle == 77 for handle in machine.closed)


@pytest.mark.parametrize(
    ("machine", "full_screen"),
    [
        (Machine(state=3), True),
        (Machine(state=3, window=0), True),
        (Machine(state=2), False),  # busy: NVIDIA's overlay says so all day
        (Machine(state=3, state_known=False), False),
        (Machine(place=SCREEN), True),
        (Machine(place=(0, 0, 2560, 1400)), False),
        (Machine(place=(2560, 0, 4480, 1080), monitor=(2560, 0, 4480, 1080)), True),
        (Machine(place=SCREEN, name="WorkerW"), False),
        (Machine(place=SCREEN, name="Progman"), False),
        (Machine(place=None), None),
        (Machine(place=SCREEN, monitor=None), None),
        (Machine(window=0), False),
    ],
)
def test_full_screen_by_the_systems_word_or_by_the_windows_place(machine: Machine, full_screen: bool | None) -> None:
    assert machine.eyes().look().full_screen is full_screen


def test_a_remote_session_is_said() -> None:
    assert Machine(remote=1).eyes().look().remote is True


def test_the_program_in_front_is_offered() -> None:
    assert Machine().eyes().windows() == (99,)
    assert Machine(window=0).eyes().windows() == ()
    Machine().eyes().close()
