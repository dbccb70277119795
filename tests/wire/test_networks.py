"""Network profiles: what is shipped is read whole, what was saved comes back, and nothing doubtful is taken."""

import stat
from pathlib import Path

import pytest

from desktop_app.core.errors import AppError
from desktop_app.core.gpu import Tier
from desktop_app.wire import networks
from desktop_app.wire.networks import Network

NAMES = ("usdc", "policy", "registry", "escrow", "cash_out", "timelock", "governor", "attestor")
ADDRESSES = {name: f"0x{number:040x}" for number, name in enumerate(NAMES, 1)}


def made() -> Network:
    return networks.practice(("http://127.0.0.1:8545",), ("nats://127.0.0.1:4222",), **ADDRESSES)


def test_what_practice_saves_is_what_the_others_load(tmp_path: Path) -> None:
    path = tmp_path / "practice" / "network.json"
    networks.save(path, made())
    loaded = networks.load_practice(path)
    assert loaded == made()
    assert loaded.is_practice and loaded.chain_id == 31337 and loaded.label == "Practice: test money"
    assert loaded.fee_bps == 10 and loaded.relayer_fee_floor == 500
    assert [entry.name for entry in path.parent.iterdir()] == ["network.json"]


def test_bounds_are_those_of_the_shipped_file() -> None:
    bounds = made().bounds(Tier.PRACTICE)
    assert bounds is not None
    assert (bounds.start, bounds.floor, bounds.ceiling) == (1_500_000, 200_000, 6_000_000)
    assert {tier for tier, _bounds in made().tiers} == set(Tier)  # a real GPU practises in its own tier


def test_a_network_that_has_not_started_says_how_to_start_it(tmp_path: Path) -> None:
    with pytest.raises(AppError, match="sublet practice"):
        networks.load_practice(tmp_path / "network.json")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"usdc"', '"usdcoin"'),
        ("0x0000000000000000000000000000000000000001", "0x01"),
        ("0x0000000000000000000000000000000000000001", "0x" + "0" * 39 + "g"),
        ("http://127.0.0.1:8545", "http://example.org:8545"),
        ("http://127.0.0.1:8545", "http://127.0.0.1.example.org"),
        ("http://127.0.0.1:8545", "http://127.0.0.1:80@example.org/"),
        ("http://127.0.0.1:8545", "file:///etc/passwd"),
        ("nats://127.0.0.1:4222", "nats://example.org:4222"),
        ('"first_block": 0', '"first_block": -1'),
        ('"first_block": 0', '"surprise": 0'),
        ("{", ""),
    ],
)
def test_a_doubtful_file_is_refused(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "network.json"
    networks.save(path, made())
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(AppError, match="not whole"):
        networks.load_practice(path)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "network.json"
    path.write_bytes(b" " * 70_000)
    with pytest.raises(AppError, match="too long"):
        networks.load_practice(path)


def test_a_place_that_is_none_is_refused_when_practice_comes_up() -> None:
    with pytest.raises(AppError, match="usdc"):
        networks.practice(("http://127.0.0.1:8545",), ("nats://127.0.0.1:4222",), **(ADDRESSES | {"usdc": "here"}))


@pytest.mark.parametrize("name", ["nowhere", "../practice", "", "practice"])
def test_only_whole_live_profiles_load(name: str) -> None:
    with pytest.raises(AppError):
        networks.load(name)


def test_saving_into_a_file_in_the_way_says_so(tmp_path: Path) -> None:
    (tmp_path / "practice").write_text("")
    with pytest.raises(AppError, match="cannot be written"):
        networks.save(tmp_path / "practice" / "network.json", made())


def test_only_the_owner_reads_the_file(tmp_path: Path) -> None:
    path = tmp_path / "network.json"
    networks.save(path, made())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
