"""`sublet deploy --network FILE`: founds the market that a file describes, on any chain of Ethereum's kind.

What it does is in `adapters.chain.deploying`; here the deployer's key is introduced to it, what happens is told, and the
network's profile is written. Run again it goes on where it stopped, and with nothing left to do it sends nothing. The key
comes from a keystore, opened by the system's keyring or a file of mode 600, and never from an argument. Called by `__main__`.
"""

import argparse
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from desktop_app.adapters.chain.deploying import Planned, deploy, plan
from desktop_app.adapters.keys import PASSPHRASE_FILE, LoneKey, passphrase_from_file, ring_secret, system_ring
from desktop_app.core.errors import AppError
from desktop_app.wire.deployment import DeployerKey, Deployment, load_deployment
from desktop_app.wire.networks import load_file, save_live

_ETHER = 10**18


def main(arguments: Sequence[str]) -> int:
    """Found the market, or (`--plan`) say what that would take; 0 when it is there and right."""
    parser = argparse.ArgumentParser(prog="sublet deploy", description="Founds a market: its contracts, its rules, its votes.")
    parser.add_argument("--network", type=Path, required=True, metavar="FILE", help="what it is founded with; see the contracts' README")
    parser.add_argument("--plan", action="store_true", help="say what would be sent and what it would cost; send nothing")
    parser.add_argument("--out", type=Path, metavar="PROFILE", help="the network's profile to write; NAME.toml beside FILE by default")
    chosen = parser.parse_args(arguments)
    terms = load_deployment(chosen.network)
    key = LoneKey(_beside(chosen.network, _named(terms).keystore))
    if chosen.plan:
        _tell_plan(terms, key.address, plan(terms, key.address))
        return 0
    profile = chosen.out or chosen.network.with_name(f"{terms.network.name}.toml")
    with _opened(key, _named(terms), chosen.network):
        founded = deploy(terms, key.address, key.sign_transaction, lambda line: print(f"  {line}", flush=True), first_block=_known(profile))
    save_live(profile, terms.network, founded.places)
    print(f"{founded.sent} transactions, {founded.gas:,} gas. Every answer was compared; the deployer keeps no power.")
    for change in founded.voted:
        print(f"Changed by vote since: {change}")
    print(f"The network's profile is {profile}.")
    return 0


def _tell_plan(terms: Deployment, deployer: str, planned: Planned) -> None:
    print(f"On chain {terms.network.chain_id}, by {deployer}:")
    for step, gas, exact in planned.steps:
        print(f"  {step.what:<80} {'' if exact else 'at most ':>8}{gas:>10,} gas")
    if not planned.steps:
        print("  nothing is left to do")
    dollars = f", ${planned.cost * terms.network.eth_usd / _ETHER / 1_000_000:,.2f}" if terms.network.eth_usd else ""
    print(f"{planned.gas:,} gas, at most {planned.cost / _ETHER:.6f} ether{dollars}; the deployer has {planned.ether / _ETHER:.6f}.")
    for name in ("usdc", "policy", "registry", "escrow", "cash_out", "timelock", "governor"):
        print(f"  {name:<9} {getattr(planned.places, name)}")


def _named(terms: Deployment) -> DeployerKey:
    if terms.deployer is None:
        raise AppError("The file does not say whose key deploys.", "Add [deployer] with a keystore and what opens it.")
    return terms.deployer


@contextlib.contextmanager
def _opened(key: LoneKey, named: DeployerKey, file: Path) -> Iterator[None]:
    if named.keyring:
        secret = ring_secret(system_ring(), named.keyring)
    else:
        found = passphrase_from_file({PASSPHRASE_FILE: str(_beside(file, named.passphrase_file))})
        secret = bytearray() if found is None else found
    key.open(secret)
    try:
        yield
    finally:
        key.close()


def _known(profile: Path) -> int | None:
    """The market's first block, if an earlier run wrote it down."""
    with contextlib.suppress(AppError):
        return load_file(profile).first_block
    return None


def _beside(file: Path, named: str) -> Path:
    """A path that a file names, counted from that file."""
    return file.absolute().parent / Path(named).expanduser()
