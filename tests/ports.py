"""Ports and addresses that nobody else is given while a test uses them. Used by whatever starts a server, or needs a dead one.

A number that the kernel chose and took back may be the very next one it gives, to this test or to the one beside it.
"""

import itertools
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from desktop_app.practice.parts import is_free

_WIDTH: Final = 1_000
_FIRST: Final = 10_000 + _WIDTH * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 10)
"""Each of several test processes has a range of its own, below those of the practice network and of outgoing connections."""

_turns: Final = itertools.count(secrets.randbelow(_WIDTH))


def free_port() -> int:
    """A port for a server that is about to start, and to start again there; not given twice in a thousand times."""
    return next(port for turn in _turns if is_free(port := _FIRST + turn % _WIDTH))


@contextmanager
def dead_url() -> Iterator[str]:
    """Where nobody listens: the port is held, so that whoever connects is refused and no server is given it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"
