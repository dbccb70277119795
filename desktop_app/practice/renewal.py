"""A practice network that an older Sublet made is not thrown away and not in the way: it is kept aside, and a new one begins.

Its chain holds other contracts, and its market speaks of jobs that only those know, so that they go together; keys, logins
and logs stay. Called by the practice root before anything runs.
"""

import logging
from pathlib import Path

from desktop_app.practice.folder import Folder
from desktop_app.practice.terms import version

_log = logging.getLogger(__name__)


def renew(folder: Folder) -> None:
    """Make place for a new network if the one in `folder` is of another version, and remember which this is."""
    now = version()
    parts = [part for part in (folder.chain, folder.market, folder.renter) if part.exists()]
    if parts and _made_by(folder) != now:
        aside = _free_place(folder)
        aside.mkdir(mode=0o700)
        folder.network.unlink(missing_ok=True)
        for part in parts:
            part.rename(aside / part.name)
        _log.warning("This practice network was made by another version of Sublet. It is kept in %s; a new one begins.", aside)
    if _made_by(folder) != now:
        new = folder.version.with_suffix(".new")
        new.write_text(now, encoding="ascii")
        new.replace(folder.version)


def _made_by(folder: Folder) -> str:
    try:
        return folder.version.read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return ""


def _free_place(folder: Folder) -> Path:
    number = 1
    while (place := folder.root / f"older-{number}").exists():
        number += 1
    return place
