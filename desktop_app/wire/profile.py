"""Where one owner's files live: one folder per profile, so that a test or a tour can have a house of its own.

Called by the composition roots, which hand each adapter only the paths it needs.
"""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs

_SOCKET_PATH_LIMIT = 100  # sun_path holds 108 bytes on Linux and 104 on macOS


@dataclass(frozen=True, slots=True)
class Profile:
    """The folder layout below `root`."""

    root: Path

    @property
    def settings(self) -> Path:
        return self.root / "settings.json"

    @property
    def database(self) -> Path:
        return self.root / "sublet.sqlite"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def blobs(self) -> Path:
        return self.root / "blobs"

    @property
    def tasks(self) -> Path:
        return self.root / "tasks"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def lock(self) -> Path:
        return self.root / "agent.lock"

    @property
    def practice(self) -> Path:
        return self.root / "practice"

    @property
    def run(self) -> Path:
        """The private folder of the socket: short enough for the kernel, 0700, per profile."""
        base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
        tag = hashlib.sha256(str(self.root).encode()).hexdigest()[:12]
        owner = os.getuid() if hasattr(os, "getuid") else "user"
        folder = Path(base) / f"sublet-{owner}-{tag}"
        if len(str(folder / "agent.sock")) > _SOCKET_PATH_LIMIT:
            folder = Path("/tmp") / f"sublet-{owner}-{tag}"  # noqa: S108 - made 0700 and checked before use
        return folder

    @property
    def socket(self) -> Path:
        return self.run / "agent.sock"


def default() -> Profile:
    """The profile named by SUBLET_HOME, else the system's place for application data."""
    named = os.environ.get("SUBLET_HOME")
    return Profile(Path(named) if named else Path(platformdirs.user_data_dir("sublet", appauthor=False)))
