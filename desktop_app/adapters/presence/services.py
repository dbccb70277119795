"""What the desktop's own services say of the owner over D-Bus: idle time, lock, GameMode, a session seen from elsewhere.

Whatever a service says is checked for its kind and range here. Used by `presence.linux`.
"""

import time
from collections.abc import Mapping
from typing import TypeVar

from desktop_app.adapters.presence.bus import Body, Bus, Question, all_properties_of, property_of
from desktop_app.core.presence import Presence

_T = TypeVar("_T")

_MUTTER = "org.gnome.Mutter.IdleMonitor"
_GAMEMODE = "com.feralinteractive.GameMode"
_LOGIN = "org.freedesktop.login1"
_SESSION = f"{_LOGIN}.Session"
_KEEP_S = 5.0  # logind says when something changed
_LOCK_KEEP_S = 1.0  # who unlocks a screen touches something, too
_SAVERS = ("org.freedesktop.ScreenSaver", "org.gnome.ScreenSaver", "org.cinnamon.ScreenSaver", "org.mate.ScreenSaver")

_IDLE = Question(_MUTTER, "/org/gnome/Mutter/IdleMonitor/Core", _MUTTER, "GetIdletime")
_GAMES = property_of(_GAMEMODE, "/com/feralinteractive/GameMode", _GAMEMODE, "ClientCount")
_LOCKS = tuple(Question(name, "/" + name.replace(".", "/"), name, "GetActive", keep_s=_LOCK_KEEP_S) for name in _SAVERS)
_SHOWN = property_of(_LOGIN, "/org/freedesktop/login1/user/self", f"{_LOGIN}.User", "Display", _KEEP_S)

_SYSTEM_BUS = "unix:path=/run/dbus/system_bus_socket"
_MOST_IDLE_S = 10 * 365 * 86_400.0
_SCREENS = frozenset({"x11", "wayland", "mir"})
_REMOTE_MARKS = ("XRDP_SESSION", "CHROME_REMOTE_DESKTOP_SESSION")
"""What servers of remote desktops put into their sessions. An SSH connection is none: it shows no screen."""


class Services:
    """Both buses of this session; opened when first looked at."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        runtime = environment.get("XDG_RUNTIME_DIR", "")
        session = environment.get("DBUS_SESSION_BUS_ADDRESS") or f"unix:path={runtime}/bus"
        self._session = Bus(session, (_MUTTER, _GAMEMODE, *_SAVERS))
        self._system = Bus(environment.get("DBUS_SYSTEM_BUS_ADDRESS") or _SYSTEM_BUS, (_LOGIN,))
        self._marked = any(environment.get(mark) for mark in _REMOTE_MARKS)
        self._shown: Question | None = None

    def look(self, patience: float) -> Presence:
        """What is said within `patience` seconds for each bus. `idle_s` is the session's own hint where Mutter does not say."""
        said = self._session.ask((_IDLE, _GAMES, *_LOCKS), time.monotonic() + patience)
        hints = self._hints(patience)
        locks = [_first(said.get(lock), bool) for lock in _LOCKS] + [hints.locked]
        return Presence(
            idle_s=_mutter_idle(said.get(_IDLE)) if _IDLE in said else hints.idle_s,
            locked=True if True in locks else (False if False in locks else None),
            game_mode=_game_mode(said.get(_GAMES)),
            remote=True if self._marked else hints.remote,
        )

    def close(self) -> None:
        """Let go of both buses. Twice is once."""
        self._session.close()
        self._system.close()

    def _hints(self, patience: float) -> Presence:
        """What logind says of the session that this account shows on a screen."""
        until = time.monotonic() + patience
        asked = (_SHOWN,) if self._shown is None else (_SHOWN, self._shown)
        said = self._system.ask(asked, until)
        shown = _session_shown(said.get(_SHOWN))
        if shown is not None and shown != self._shown:
            said = self._system.ask((shown,), until)
        self._shown = shown
        return _session_hints(said.get(shown)) if shown else Presence()


def _mutter_idle(body: Body | None) -> float | None:
    milliseconds = _first(body, int)
    return None if milliseconds is None else _plausible(milliseconds / 1000)


def _game_mode(body: Body | None) -> bool | None:
    games = _inner(_first(body, tuple), int)
    return None if games is None else games > 0


def _session_shown(body: Body | None) -> Question | None:
    shown = _inner(_first(body, tuple), tuple)
    if shown is None or len(shown) != 2 or not isinstance(shown[1], str) or not shown[1].startswith("/org/freedesktop/login1/session/"):
        return None
    return all_properties_of(_LOGIN, shown[1], _SESSION, _KEEP_S)


def _session_hints(body: Body | None) -> Presence:
    told = _first(body, dict)
    if told is None:
        return Presence()
    remote, kind = _inner(told.get("Remote"), bool), _inner(told.get("Type"), str)
    return Presence(
        idle_s=_hinted_idle(_inner(told.get("IdleHint"), bool), _inner(told.get("IdleSinceHintMonotonic"), int)),
        locked=_inner(told.get("LockedHint"), bool),
        remote=None if remote is None else remote and kind in _SCREENS,
    )


def _hinted_idle(idle: bool | None, since: int | None) -> float | None:
    """Many desktops never give the hint, which then says "not idle since ever" and means nothing."""
    if idle is None or not since:
        return None
    return _plausible(time.monotonic() - since / 1_000_000) if idle else 0.0


def _plausible(seconds: float) -> float | None:
    return seconds if 0 <= seconds <= _MOST_IDLE_S else None


def _first(body: Body | None, kind: type[_T]) -> _T | None:
    """The answer's only value, if it is of this very kind: a bool is no number."""
    return body[0] if body is not None and len(body) == 1 and type(body[0]) is kind else None


def _inner(variant: object, kind: type[_T]) -> _T | None:
    """The value of a D-Bus variant, a pair of signature and value, if it is of this very kind."""
    return variant[1] if isinstance(variant, tuple) and len(variant) == 2 and type(variant[1]) is kind else None
