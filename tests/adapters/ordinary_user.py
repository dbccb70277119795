"""Runs code as an ordinary user, from root: the interpreter, the packages and the source may lie where only root can go."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

_USER = 12_345


def as_user(code: str, home: Path) -> "subprocess.CompletedProcess[str]":
    """A Python of that user's, with nothing of our environment; what it needs of ours is bound to /mnt in a namespace of its own."""
    python = Path(sys.base_prefix).resolve()
    packages = next(entry for entry in sys.path if entry.endswith("-packages") and not Path(entry).is_relative_to(python))
    places = {python: "/mnt/python", Path(packages): "/mnt/site-packages", Path(__file__).parents[2]: "/mnt/source"}
    binds = " && ".join(f"mkdir {inside} && mount --bind {shlex.quote(str(outside))} {inside}" for outside, inside in places.items())
    program = Path("/mnt/python") / Path(sys.executable).resolve().relative_to(python)
    environment = f"env -i HOME={home} PATH=/usr/bin:/bin LD_LIBRARY_PATH=/mnt/python/lib PYTHONPATH=/mnt/source:/mnt/site-packages"
    environment += f" SUBLET_TEST_RUN={os.environ['SUBLET_TEST_RUN']}"
    user = f"setpriv --reuid {_USER} --regid {_USER} --clear-groups {environment} {program} -c {shlex.quote(code)}"
    script = f"mount -t tmpfs tmpfs /mnt && {binds} && cd / && exec {user}"
    command = ("unshare", "--mount", "--propagation", "private", "sh", "-c", script)
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
