"""`sublet deploy` as it is typed: a file, a keystore, a passphrase where only its owner reads it; the profile comes out whole."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from eth_account import Account

from desktop_app.adapters.chain.deploying import places
from desktop_app.core.gpu import Tier
from desktop_app.wire.deployment import load_deployment
from desktop_app.wire.networks import load_file, practice_constants
from desktop_app.wire.resources import resource
from tests.adapters.two_chains import ARBITER, ATTESTOR, DEPLOYER, GUARDIAN, SECOND, TREASURY, Ground, anvil

FILE = """
rpc_urls = ["{url}"]
nats_urls = ["tls://market.example.org:4222"]
treasury = "{treasury}"
arbiter = "{arbiter}"
guardian = "{guardian}"
attestors = ["{attestor}", "{second}"]
allowance = 10_000_000_000          # micro-dollars a day

[network]
name = "trial"
label = "A trial: \\"test money\\", ümlaut and all"
chain_id = 31337
confirmations = 1
usdc_name = "USD Coin"
usdc_version = "2"
fee_bps = 10
epoch_s = 60
eth_usd = 3_000_000_000
relayer_fee_floor = 500

[network.tiers.large]
start = 400_000
floor = 80_000
ceiling = 2_000_000

[governance]
delay = 172_800
voting_delay = 86_400
voting_period = 259_200
threshold = 1
quorum = 10
guardian = "{guardian}"

[deployer]
keystore = "deployer.json"
passphrase_file = "passphrase"
"""
PASSPHRASE = "only for this test"


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    with anvil(tmp_path) as found:
        yield found


@pytest.fixture
def file(ground: Ground, tmp_path: Path) -> Path:
    people = {"treasury": TREASURY, "arbiter": ARBITER, "guardian": GUARDIAN, "attestor": ATTESTOR, "second": SECOND}
    path = tmp_path / "trial.deployment.toml"
    path.write_text(FILE.format(url=ground.url, **{name: who.address for name, who in people.items()}))
    (tmp_path / "deployer.json").write_text(json.dumps(Account.encrypt(DEPLOYER.key, PASSPHRASE, iterations=2**4)))
    (tmp_path / "passphrase").write_text(PASSPHRASE + "\n")
    (tmp_path / "passphrase").chmod(0o600)
    return path


def sublet(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "desktop_app", "deploy", "--network", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_a_market_is_planned_founded_and_found_again(ground: Ground, file: Path) -> None:
    planned = sublet(file, "--plan")
    assert planned.returncode == 0, planned.stderr
    assert "create TaskEscrow at 0x" in planned.stdout and "make the governor proposer" in planned.stdout
    assert "ether, $" in planned.stdout and "the deployer has 100.000000" in planned.stdout
    assert ground.count(DEPLOYER.address) == 0 and not (file.parent / "trial.toml").exists()

    founded = sublet(file)
    assert founded.returncode == 0, founded.stderr
    assert "the deployer keeps no power" in founded.stdout
    profile = file.parent / "trial.toml"
    network = load_file(profile)
    assert (network.name, network.label, network.fee_bps) == ("trial", 'A trial: "test money", ümlaut and all', 10)
    assert (network.nats_urls, network.attestor) == (("tls://market.example.org:4222",), ATTESTOR.address)
    assert network.first_block > 0 and network.bounds(Tier.LARGE) is not None and network.bounds(Tier.SMALL) is None
    for name in ("policy", "registry", "escrow", "timelock", "governor"):
        assert getattr(network, name) in planned.stdout

    sent, before = ground.count(DEPLOYER.address), profile.read_text()
    again = sublet(file)
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("0 transactions")
    assert (ground.count(DEPLOYER.address), profile.read_text()) == (sent, before)
    assert "nothing is left to do" in sublet(file, "--plan").stdout
    for said in (planned, founded, again):
        assert PASSPHRASE not in said.stdout + said.stderr
        assert DEPLOYER.key.hex().removeprefix("0x") not in said.stdout + said.stderr


def test_a_key_that_is_not_kept_safe_or_does_not_open_signs_nothing(ground: Ground, file: Path) -> None:
    passphrase = file.parent / "passphrase"
    passphrase.chmod(0o644)
    assert "not private" in sublet(file).stderr
    passphrase.chmod(0o600)
    passphrase.write_text("another one altogether\n")
    assert "does not open deployer.json" in sublet(file).stderr
    (file.parent / "deployer.json").write_text("{}")
    assert "is no keystore" in sublet(file).stderr
    (file.parent / "deployer.json").unlink()
    assert "cannot be read" in sublet(file, "--plan").stderr
    assert ground.count(DEPLOYER.address) == 0


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("chain_id = 31337", "chain_id = 8453", "a stablecoin"),
        ("fee_bps = 10", "fee_bps = 101", "fee_bps"),
        ('passphrase_file = "passphrase"', "", "one of them"),
        ('passphrase_file = "passphrase"', 'passphrase = "secret"', "passphrase"),
        ("delay = 172_800", "delay = -1", "delay"),
        (f', "{SECOND.address}"', f', "{ATTESTOR.address.lower()}"', "named twice"),
        (TREASURY.address, "0x" + "00" * 20, "zero address"),
    ],
)
def test_a_doubtful_file_is_refused(file: Path, old: str, new: str, words: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    refused = sublet(file, "--plan")
    assert refused.returncode == 1
    assert "not whole" in refused.stderr and words in refused.stderr


def test_every_tier_that_is_not_named_is_not_traded(file: Path) -> None:
    bounds = load_deployment(file).bounds()
    assert [(floor, ceiling) for _tier, floor, ceiling in bounds] == [(0, 0), (0, 0), (0, 0), (80_000, 2_000_000), (0, 0)]
    assert set(practice_constants().tiers) == set(Tier)


def test_the_readme_shows_a_file_that_is_whole(tmp_path: Path) -> None:
    (shown,) = re.findall(r"```toml\n(.*?)```", resource("contracts/README.md").read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "example.toml").write_text(shown)
    deployment = load_deployment(tmp_path / "example.toml")
    assert deployment.deployer is not None
    assert places(deployment, DEPLOYER.address).usdc == deployment.usdc
