"""Would the tests notice? Plants every fault of `faults.toml` in a copy of the contracts, one at a time.

`nice -n 19 python -m tests.contracts.mutate [WORD …]` compiles each copy, runs the contracts' tests against it on Anvil, the
likeliest to fail first, until one fails, and prints who killed which fault; only those whose name contains a word, if words are
given. Ends with status 1 if a fault survived. `test_mutate` checks in every run that the faults can still be planted.

Everything is imported once; each fault's tests run in a fork, while node compiles the next copy.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from desktop_app.wire import resources
from desktop_app.wire.resources import resource
from tests.contracts.conftest import NODE, installed_modules

HERE: Final = Path(__file__).parent
SOURCES: Final = resource("contracts/src")
PARTS_OF: Final = dict.fromkeys(("EscrowLedger", "EscrowJobs", "EscrowClaims", "ITaskEscrow", "Signatures"), "TaskEscrow")
"""Which deployed contract a source goes into, where it is another; `Signatures` also goes into the registry."""
LATE: Final = ("test_life.py", "test_money_road.py")
"""Long games, asked only after all others."""
NOT_ASKED: Final = ("test_compiled.py", "test_forge.py", "test_mutate.py")
"""They compare or compile the real sources."""
PATIENCE_S: Final = 600
CLOCK: Final = "the clock"
"""Killed a fault that made the tests run for longer than that."""
_BARE: Final = {name: value for name, value in os.environ.items() if name != "SUBLET_TEST_RUN"}
"""For node, which the tests' search for what they left behind must not find."""


@dataclass(frozen=True)
class Fault:
    """In `file`, `old` (found exactly once) becomes `new`."""

    name: str
    invariant: int
    file: str
    old: str
    new: str
    likely: str
    """Words of the test files that should notice, in order."""


_LIST: Final = tomllib.loads((HERE / "faults.toml").read_text(encoding="utf-8"))
INVARIANTS: Final[dict[int, str]] = {int(number): said for number, said in _LIST["invariants"].items()}
FAULTS: Final = tuple(Fault(**one) for one in _LIST["fault"])


@dataclass(frozen=True)
class Copy:
    """A compiler at work on a faulty source, and where its result will be."""

    fault: Fault
    process: subprocess.Popen[bytes]
    out: Path


def planted(fault: Fault) -> dict[str, str]:
    """All sources, one of them with the fault; fails unless its place is found exactly once."""
    sources = {one.name: one.read_text(encoding="utf-8") for one in SOURCES.glob("*.sol")}
    found = sources[fault.file].count(fault.old)
    assert found == 1, f"{fault.name}: found {found} times in {fault.file}: {fault.old}"
    sources[fault.file] = sources[fault.file].replace(fault.old, fault.new)
    return sources


def files_for(fault: Fault) -> tuple[list[Path], list[Path]]:
    """The test files that should notice, the likeliest first, and all the others."""
    every = every_file()
    likely = [one for word in fault.likely.split() for one in every if word in one.name]
    return list(dict.fromkeys(likely)), [one for one in every if one not in likely]


def every_file() -> list[Path]:
    """All that may be asked, long games last."""
    every = sorted(one for one in HERE.glob("test_*.py") if one.name not in NOT_ASKED)
    return [one for one in every if one.name not in LATE] + [one for one in every if one.name in LATE]


def _compile(fault: Fault, scratch: Path, modules: Path) -> Copy:
    contract = PARTS_OF.get(Path(fault.file).stem, Path(fault.file).stem)
    given, out = scratch / "sources.json", scratch / f"{contract}.json"
    given.write_text(json.dumps(planted(fault)))
    with given.open("rb") as source, out.open("wb") as made:
        process = subprocess.Popen([NODE, HERE / "mutate.js", modules, contract], stdin=source, stdout=made, env=_BARE)
    return Copy(fault, process, out)


def _mirror(scratch: Path, copy: Copy | None) -> Path:
    """The resources as they are, but for the faulty contract."""
    root = scratch / "resources"
    compiled = root / "contracts/compiled"
    compiled.mkdir(parents=True)
    for one in resource("").iterdir():
        if one.name != "contracts":
            (root / one.name).symlink_to(one)
    for one in resource("contracts").iterdir():
        if one.name != "compiled":
            (root / "contracts" / one.name).symlink_to(one)
    for one in resource("contracts/compiled").iterdir():
        (compiled / one.name).write_bytes(one.read_bytes())
    if copy is not None:
        place = compiled / copy.out.name
        place.write_text(json.dumps(json.loads(place.read_text()) | json.loads(copy.out.read_text())))
    return root


def _ask(files: Sequence[Path], root: Path, said: Path) -> int:
    """pytest in a fork of this process, on these resources; its status, or 99 after too long."""
    child = os.fork()
    if child == 0:
        with said.open("wb") as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        vars(resources)["_ROOT"] = root
        status = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-k", "not py-evm", *map(str, files)])
        sys.stdout.flush()
        os._exit(int(status))
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return 99


def _killer(status: int, said: str) -> str | None:
    """Which test noticed, whatever it was given; None if none did."""
    if status == 0:
        return None
    found = re.search(r"^(?:FAILED|ERROR) (\S+?\.py(?:::\w+)?)", said, re.MULTILINE)
    assert found or status == 99, said
    return found[1].removeprefix("tests/contracts/") if found else CLOCK


def _judge(copy: Copy, scratch: Path) -> str | None:
    """The test that notices the fault."""
    assert copy.process.wait() == 0, f"{copy.fault.name} does not compile"
    said, root = scratch / "said", _mirror(scratch, copy)
    for files in files_for(copy.fault):
        killer = _killer(_ask(files, root, said), said.read_text(errors="replace"))
        if killer is not None:
            return killer
    return None


def _warm_up(scratch: Path) -> None:
    """Imports everything."""
    said = scratch / "said"
    with said.open("w") as output, contextlib.redirect_stdout(output):
        status = pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", *map(str, every_file())])
    assert status == 0, said.read_text()


def _copies(faults: Sequence[Fault], scratch: Path, modules: Path) -> Iterator[tuple[Copy, Path]]:
    """Each copy while the next is being compiled."""
    places = [scratch / str(number) for number in range(len(faults))]
    for place in places:
        place.mkdir()
    coming = _compile(faults[0], places[0], modules)
    for number in range(len(faults)):
        copy = coming
        if number + 1 < len(faults):
            coming = _compile(faults[number + 1], places[number + 1], modules)
        yield copy, places[number]


def main(words: Sequence[str]) -> int:
    """0 if every fault was noticed, by tests that pass where there is no fault."""
    faults = [one for one in FAULTS if not words or any(word in one.name for word in words)]
    killers: dict[str, str | None] = {}
    begun, modules = time.monotonic(), installed_modules()
    with tempfile.TemporaryDirectory(prefix="sublet-mutate-") as folder:
        scratch = Path(folder)
        _warm_up(scratch)
        for copy, place in _copies(faults, scratch, modules):
            killer = killers[copy.fault.name] = _judge(copy, place)
            print(f"{copy.fault.invariant:>2}  {copy.fault.name}: {killer or 'SURVIVED'}", flush=True)
        tests = sorted({HERE / killer for killer in killers.values() if killer not in (None, CLOCK)})
        sound = _ask(tests, _mirror(scratch, None), scratch / "said") == 0
        print("" if sound else (scratch / "said").read_text(errors="replace"), end="")
    survivors = [name for name, killer in killers.items() if killer is None]
    print(f"{len(faults)} faults, {len(survivors)} survivors, {(time.monotonic() - begun) / 60:.1f} minutes")
    return 0 if sound and not survivors else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
