"""As whom a process speaks to the practice market: one small file per user, for the profile's owner alone.

Written by the practice network, read by the roots of agent, pool and renter. On a live network the agent will sign a
challenge with its operator key instead.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from desktop_app.core.errors import AppError

POOL: Final = "pool"
RENTER: Final = "renter"
AGENT: Final = "agent"


@dataclass(frozen=True, slots=True)
class Login:
    """A user of the practice market."""

    user: str
    password: str = field(repr=False)


def login_path(practice: Path, user: str) -> Path:
    """Where a user's login lies below the profile's practice folder."""
    return practice / "logins" / f"{user}.json"


def login(practice: Path, user: str) -> Login:
    """A user's login. Raises AppError while the practice network has not made it."""
    try:
        return msgspec.json.decode(login_path(practice, user).read_bytes(), type=Login)
    except (OSError, msgspec.DecodeError) as error:
        raise AppError("The practice network has not started yet.", "Start it with `sublet practice`.") from error
