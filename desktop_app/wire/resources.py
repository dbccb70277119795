"""Where the files that ship with the app are: icons, themes, contracts, the practice data, network profiles.

They lie beside the package, in `resources/`. Called by whoever reads one of them.
"""

from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2] / "resources"


def resource(path: str) -> Path:
    """The absolute path of a shipped file, named relative to `resources/`, e.g. `contracts/compiled/TaskEscrow.json`."""
    return _ROOT / path
