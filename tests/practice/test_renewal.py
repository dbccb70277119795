"""A practice network of another version is kept aside, whole, and said to be; one of this version is left alone."""

import logging
from pathlib import Path

import pytest

from desktop_app.practice import renewal, terms
from desktop_app.practice.folder import Folder
from desktop_app.practice.renewal import renew
from desktop_app.wire.resources import resource


def made(root: Path, content: str) -> Folder:
    """A network with something in each of its parts."""
    folder = Folder(root)
    for part in (folder.chain, folder.market, folder.renter, root / "keys", folder.logs):
        part.mkdir(parents=True, exist_ok=True)
        (part / "file").write_text(content)
    folder.network.write_text(content)
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_one_without_a_version_is_kept_aside_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = made(tmp_path, "old")
    renew(folder)
    assert contents(tmp_path) == {
        "keys/file": "old", "logs/file": "old", "older-1/chain/file": "old", "older-1/market/file": "old", "older-1/renter/file": "old",
        "version": terms.version(),
    }  # fmt: skip
    assert "another version" in caplog.text
    assert str(tmp_path / "older-1") in caplog.text
    made(tmp_path, "new")
    before = contents(tmp_path)
    renew(folder)
    assert contents(tmp_path) == before


def test_the_next_one_goes_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    for number in (1, 2, 3):
        renew(made(tmp_path, str(number)))
        monkeypatch.setattr(renewal, "version", lambda number=number: f"{number}" * 64)
    assert [(tmp_path / f"older-{number}" / "chain" / "file").read_text() for number in (1, 2, 3)] == ["1", "2", "3"]


def test_a_fresh_profile_is_marked_and_nothing_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    renew(Folder(tmp_path))
    assert contents(tmp_path) == {"version": terms.version()}
    assert caplog.text == ""


def test_the_version_follows_from_the_contracts_and_the_terms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = terms.version()
    assert first == terms.version()
    monkeypatch.setattr(terms, "VOTING_PERIOD_S", terms.VOTING_PERIOD_S + 1)
    slower = terms.version()
    compiled = tmp_path / "contracts" / "compiled"
    compiled.mkdir(parents=True)
    for path in resource("contracts/compiled").glob("*.json"):
        (compiled / path.name).write_text(path.read_text().replace('"bytecode": "0x60', '"bytecode": "0x61'))
    monkeypatch.setattr(terms, "resource", lambda name: tmp_path / name)
    assert len({first, slower, terms.version()}) == 3
