"""A folder that a waiting worker sees at /in, read-only, and that is filled from outside when there is a task for it.

A sandbox' files are bound when it starts, and a worker that was started ahead has none. Handing it open files instead would
leave their protection to their mode: an ordinary owner's worker has the owner's own number, and could open /proc/self/fd/N
anew for writing. A read-only mount refuses that to everybody, root's dropped user as well as the owner's own, and shows
what is put into the folder later. Files are put there by a second name for the same blob: at once, whatever their size.
Used by `hosted` and `warm`. Linux only.
"""

import os
import shutil
import tempfile
from pathlib import Path

IN = "/in"
_PREFIX = ".shelf-"


class Shelf:
    """One such folder, beside the blobs, since a second name must be in the same file system."""

    def __init__(self, blobs: Path) -> None:
        self.place = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=blobs))
        if _dropping():
            self.place.chmod(0o755)  # the folder above stays closed to others; the sandbox' user must be able to look

    def put(self, name: str, blob: Path) -> None:
        """Give a blob a name on the shelf. Raises OSError where the file system knows no second names, or for no plain name."""
        if name != Path(name).name or name == "..":
            raise OSError(f"{name[:40]!r} is no name for a file")
        if _dropping():
            blob.chmod(blob.stat().st_mode | 0o044)
        os.link(blob, self.place / name)

    def clear(self) -> None:
        """Remove it; the blobs keep their own names."""
        shutil.rmtree(self.place, ignore_errors=True)


def sweep_shelves(blobs: Path) -> None:
    """Remove what a dead agent left."""
    for place in blobs.glob(f"{_PREFIX}*"):
        shutil.rmtree(place, ignore_errors=True)


def _dropping() -> bool:
    return os.geteuid() == 0
