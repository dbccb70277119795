"""What is committed under `compiled/` is what the pinned tools make of the sources, byte for byte."""

import json
import subprocess
from pathlib import Path

from tests.contracts.conftest import CONTRACTS, MARK, NODE, are_of, put


def test_sources_compile_to_what_is_committed(modules: Path, tmp_path: Path) -> None:
    command: list[str | Path] = [NODE, CONTRACTS / "compile.js", "--out", tmp_path, "--modules", modules]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr
    made = {one.name: one.read_bytes() for one in tmp_path.iterdir()}
    committed = {one.name: one.read_bytes() for one in (CONTRACTS / "compiled").iterdir()}
    assert made.keys() == committed.keys()
    assert [name for name in made if made[name] != committed[name]] == []


def test_modules_that_another_process_installed_first_stay_and_outdated_ones_go(tmp_path: Path) -> None:
    kept, lock, newer = tmp_path / "node_modules", tmp_path / "lock", tmp_path / "newer"
    lock.write_text("1")
    newer.write_text("2")
    for number, version in enumerate((lock, lock, newer)):
        fresh = tmp_path / str(number) / "node_modules"
        fresh.mkdir(parents=True)
        (fresh / MARK).write_bytes(version.read_bytes())
        (fresh / "whose").write_text(str(number))
        put(fresh, version, kept)
    assert are_of(newer, kept) and (kept / "whose").read_text() == "2"
    assert (tmp_path / "1" / "node_modules" / "whose").is_file(), "the second was too late, and what is in use was not touched"
    assert (tmp_path / "2" / "outdated" / "whose").read_text() == "0"


def test_the_lock_names_versions_and_hashes_but_no_addresses() -> None:
    locked = json.loads((CONTRACTS / "package-lock.json").read_text())["packages"]
    assert locked["node_modules/@openzeppelin/contracts"]["version"] == "5.7.0"
    assert locked["node_modules/solc"]["version"] == "0.8.37"
    assert locked["node_modules/@foundry-rs/anvil"]["version"] == locked["node_modules/@foundry-rs/forge"]["version"] == "1.7.1"
    for name, package in locked.items():
        assert not {"resolved", "funding"} & package.keys()
        assert name == "" or package["integrity"].startswith("sha512-")


def test_every_contract_is_below_the_size_limit() -> None:
    """EIP-170 allows 24,576 bytes of deployed code; the creation code here is an upper bound of it."""
    for one in (CONTRACTS / "compiled").iterdir():
        assert len(json.loads(one.read_text())["bytecode"]) // 2 < 24_576
