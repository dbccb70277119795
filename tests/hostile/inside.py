"""Code inside the real sandbox that wants out: every attack of `sandboxed`, with what came of it there and without a sandbox.

One sandbox for a group of attacks and one process for each attack; those that would end or spoil it get a sandbox to
themselves. Both are run once and looked up. Used by `test_inside` and the table of `python -m tests.hostile`.
"""

import importlib
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from desktop_app.adapters.supervisor.cage import Cage, spawn
from desktop_app.adapters.supervisor.sandbox import Sandbox
from tests.hostile.attack import Attack, Outcome
from tests.hostile.sandboxed import kit
from tests.hostile.world import BOUNDS, INPUT, Machine, machine
from tests.leaks import family

GROUPS = ("network", "files", "processes", "kernel", "bounds")
for _group in GROUPS:
    importlib.import_module(f"tests.hostile.sandboxed.{_group}")
_FOLDER = Path(kit.__file__).parent
_RUNNER, ALONE = _FOLDER / "runner.py", _FOLDER / "alone.py"
_TIME_S = 90.0
_CAP_MB = 4 * BOUNDS.ram_mb

Told = dict[str, dict[str, str]]
"""By the attack's name: how it ended ("got", "held", "died", "broken"), and what was seen."""


@cache
def inside(group: str) -> Told:
    """What came of a group's attacks in the sandbox; "owner" is what of the owner's was reached or changed."""
    with tempfile.TemporaryDirectory(prefix="sublet-owner-") as root, machine(Path(root)) as owner:
        inputs = (("/in/tests/hostile/sandboxed", _FOLDER), ("/in/world.json", owner.place), ("/in/data", owner.input))
        cage = spawn(Sandbox((group,), BOUNDS, inputs, script=_RUNNER, descriptors=(owner.line.fileno(),)))
        try:
            told = _told(_printed(cage))
            touched = [*owner.heard(), *_changed(owner)]
        finally:
            cage.end()
        return told | {"owner": {"how": "got" if touched else "held", "seen": ", ".join(touched) or "nothing of the owner's"}}


@cache
def outside(group: str) -> Told:
    """What came of the same attacks without a sandbox, where they do no harm. As root the mounts are a copy of the machine's."""
    apart = ("unshare", "--mount", "--uts", "--propagation", "private") if os.geteuid() == 0 else ()
    with tempfile.TemporaryDirectory(prefix="sublet-owner-") as root, machine(Path(root)) as owner:
        words = (*apart, sys.executable, str(_RUNNER), group, str(owner.place))
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        done = subprocess.run(
            words, capture_output=True, timeout=_TIME_S, check=False, stdin=subprocess.DEVNULL, env=environment,
            pass_fds=(owner.line.fileno(),),
        )  # fmt: skip
        return _told(done.stdout)


def controlled(one: kit.Attack) -> bool:
    """Whether whoever runs this may try it without a sandbox."""
    return one.outside == "anyone" or (one.outside == "root" and os.geteuid() == 0)


def _try(group: str, one: kit.Attack, _folder: Path) -> Outcome:
    told = inside(group)
    found = told.get(one.name, {"how": "not told", "seen": told["printed"]["seen"]})
    return Outcome(found["how"] == "held" or (one.dies and found["how"] == "died"), f"{found['how']}: {found['seen']}")


def _touch(group: str, _folder: Path) -> Outcome:
    found = inside(group)["owner"]
    return Outcome(found["how"] == "held", found["seen"])


def _changed(owner: Machine) -> list[str]:
    """Which of the owner's files, and of the task's inputs, are not as they were."""
    kept = dict.fromkeys(owner.world["files"].values(), owner.world["word"].encode()) | {str(owner.input): INPUT}
    return [f"{place} changed" for place, data in kept.items() if Path(place).read_bytes() != data]


def _told(printed: bytes) -> Told:
    lines = printed.decode("utf-8", "replace").splitlines()
    found = [json.loads(line) for line in lines if line.startswith('{"attack"')]
    told = {one["attack"]: {"how": str(one["how"]), "seen": str(one["seen"])} for one in found}
    return told | {"printed": {"how": "", "seen": "\n".join(lines)[-2000:]}}


def _alone(program: str) -> Cage:
    return spawn(Sandbox((program, str(_CAP_MB)), BOUNDS, script=ALONE))


def _printed(cage: Cage, first: bool = False) -> bytes:
    """What a sandbox prints until it ends, or the first of it. Plays the watchdog for memory meanwhile, as a session does."""
    said, end = b"", time.monotonic() + _TIME_S
    while time.monotonic() < end and not (first and said):
        if select.select([cage.log], [], [], 0.1)[0]:
            piece = os.read(cage.log, 65536)
            if not piece:
                break
            said += piece
        if cage.memory_bytes() > 2 * BOUNDS.ram_mb << 20:
            cage.kill()
    return said


def _eats(program: str, _folder: Path) -> Outcome:
    cage = _alone(program)
    try:
        got = _printed(cage).decode().strip()
        return Outcome(not got, got or "ended at its bound")
    finally:
        cage.end()


def _survives(_folder: Path) -> Outcome:
    before = {one.pid for one in family()}
    cage = _alone("detached")
    try:
        until = time.monotonic() + 10
        # process 1, the program, two generations of four; one that changes its parent just now is missed by a look
        while (count := len(cage.processes())) < 10 and time.monotonic() < until:
            time.sleep(0.02)
        begun = time.monotonic()
        cage.kill()
        gone = cage.wait_gone(10)
        left = [one.pid for one in family() if one.pid not in before]
        return Outcome(gone and not left and count >= 10, f"{count} processes, {len(left)} left after {time.monotonic() - begun:.2f} s")
    finally:
        cage.end()


def _leaves(_folder: Path) -> Outcome:
    said = []
    for program in ("plant", "look"):
        cage = _alone(program)
        said.append(_printed(cage).decode().strip())
        cage.end()
    return Outcome(said[0].startswith("planted") and said[1] == "nothing", ", the next one found: ".join(said))


def _meets(_folder: Path) -> Outcome:
    host = _alone("meet")
    try:
        ready = _printed(host, first=True).decode().strip()
        guest = _alone("seek")
        found = _printed(guest).decode().strip()
        guest.end()
        return Outcome((ready, found) == ("ready", "nothing"), f"{ready}; found {found}")
    finally:
        host.end()


_OWN: tuple[tuple[str, str, Callable[[Path], Outcome]], ...] = (
    ("shared_memory", "shared memory, four times what may be", partial(_eats, "shared_memory")),
    ("unmapped_memory", "files in memory that are never mapped, four times what may be", partial(_eats, "unmapped_memory")),
    ("detached", "a family that left session, group and parents, and hears no signal, after its end was ordered", _survives),
    ("planted", "something left behind that the next task's interpreter would run, or find", _leaves),
    ("another_task", "the sockets, files and processes of a task that runs at the same time", _meets),
)
ATTACKS: tuple[Attack, ...] = (
    *(Attack(f"{group}_{one.name}", one.tries, partial(_try, group, one)) for group in GROUPS for one in kit.ATTACKS[group]),
    *(Attack(f"{group}_owner", "anything of the owner's reached or changed by all of these", partial(_touch, group)) for group in GROUPS),
    *(Attack(f"alone_{name}", tries, run) for name, tries, run in _OWN),
)
