"""The bait that a sandbox is tried against does not hear who came to its port by chance; that it hears: `test_supervisor_isolation`."""

import os
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from desktop_app.adapters.supervisor.sandbox import Bounds
from desktop_app.adapters.supervisor.walls import Bait

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="sandboxes exist on Linux only so far")


@pytest.fixture
def bait() -> Iterator[Bait]:
    with closing(Bait(Bounds())) as bait:
        yield bait


def test_who_looks_for_somebody_elses_port_is_not(bait: Bait) -> None:
    """A port that was let go may be ours the next moment, and whoever had business there comes again."""
    spec = bait.spec()
    with socket.socket() as one, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        one.connect_ex(("127.0.0.1", int(str(spec["tcp"]))))
        other.sendto(b"x", ("127.0.0.1", int(str(spec["udp"]))))
        assert bait.silence().held
