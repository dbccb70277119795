"""Starts the engine in the background when the tray finds none. Called by the shell when nobody answers the socket."""

import os
import sys

from desktop_app.wire.profile import Profile

_DETACHED = 0x208  # Windows: CREATE_NEW_PROCESS_GROUP | DETACHED_PROCESS


def start_agent(profile: Profile) -> None:
    """Start `python -m desktop_app agent` for this profile, detached: it outlives the tray. A second one ends at its own lock."""
    import subprocess  # here, since a tray that finds its engine needs none

    profile.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (profile.logs / "agent-start.log").open("wb") as log:
        subprocess.Popen(
            [sys.executable, "-m", "desktop_app", "agent"],
            env=os.environ | {"SUBLET_HOME": str(profile.root)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            creationflags=_DETACHED if sys.platform == "win32" else 0,
        )
