"""Signs of the owner, as the presence adapter tells them: what the machine says about who uses it, and nothing about what follows.

Made by `adapters.presence`, read by the policy and the page of signals. What a system does not say is None.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Presence:
    """One look. None: this system has no way to tell."""

    idle_s: float | None = None  # seconds since the last key, mouse or touch
    locked: bool | None = None  # the session is locked
    full_screen: bool | None = None  # the window in front covers its whole screen
    game_mode: bool | None = None  # a game asked GameMode for the machine
    apps: tuple[str, ...] | None = None  # which programs of the owner's list run now
    remote: bool | None = None  # somebody looks at this session from another machine
    on_battery: bool | None = None
