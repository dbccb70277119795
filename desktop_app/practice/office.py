"""The practice pool's process: puts the contracts on the chain, gives the renter test money, says where everything is, and
then is the pool.

One process does all of it, because each more that loads the chain's libraries costs seconds of a start. Started by the
practice root once the chain answers; done again after a crash it goes on where it stopped.
"""

import argparse
import asyncio
import logging
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from desktop_app.adapters.chain import Chain, Refused, Relayer
from desktop_app.adapters.chain.deploying import deploy
from desktop_app.adapters.keys import Keys
from desktop_app.core.errors import AppError
from desktop_app.core.money import DOLLAR, MicroUsd
from desktop_app.pool import main as pool
from desktop_app.practice.folder import DEPLOYER, RENTER, Folder
from desktop_app.practice.lifeline import end_with_parent
from desktop_app.practice.terms import deployment
from desktop_app.wire.networks import Network, network_of, save

RENTER_MONEY = MicroUsd(100_000 * DOLLAR)
"""Test money the renter starts with, and is topped up to when it has less than a tenth of it."""

CHAIN_PATIENCE_S = 60.0

_log = logging.getLogger(__name__)


def main(arguments: Sequence[str]) -> int:
    """Prepare the network and serve as its pool until the parent ends."""
    parser = argparse.ArgumentParser(prog="sublet practice-pool")
    parser.add_argument("folder", type=Path)
    parser.add_argument("rpc_url")
    parser.add_argument("nats_url")
    chosen = parser.parse_args(arguments)
    end_with_parent()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    _await_chain(chosen.rpc_url)
    folder = Folder(chosen.folder)
    keys = folder.office_keys()
    renter = folder.renter_keys()
    network = prepare(folder, keys, renter.address(RENTER), chosen.rpc_url, chosen.nats_url)
    renter.close()
    asyncio.run(pool.serve(network, keys, pool.endpoint_of(folder.root, network)))
    return 0


def _await_chain(rpc_url: str) -> None:
    """Until something listens there; the keys are made by then."""
    place = urlsplit(rpc_url)
    end = time.monotonic() + CHAIN_PATIENCE_S
    while True:
        try:
            socket.create_connection((place.hostname or "", place.port or 0), 1).close()
        except OSError:
            if time.monotonic() > end:
                raise AppError("The practice chain does not answer.", "Look into its log, beside this one.") from None
            time.sleep(0.05)
        else:
            return


def prepare(folder: Folder, keys: Keys, renter: str, rpc_url: str, nats_url: str) -> Network:
    """Contracts, test money, and the file that tells everybody else. Safe to do again."""

    def sign(transaction: dict[str, int | str]) -> bytes:
        return keys.sign_transaction(DEPLOYER, transaction)

    terms, deployer = deployment(keys, rpc_url, nats_url), keys.address(DEPLOYER)
    founded = deploy(terms, deployer, sign, lambda line: _log.info("the contracts: %s", line), first_block=0, own=True)
    network = network_of(terms.network, founded.places)
    chain = Chain(network)
    try:
        balance, _block = chain.balance(renter)
        if balance < RENTER_MONEY // 10:
            outcome = Relayer(chain, deployer, sign).mint(renter, RENTER_MONEY)
            if isinstance(outcome, Refused):
                raise AppError("The practice renter got no test money.", outcome.reason)
    finally:
        chain.close()
    save(folder.network, network)
    return network
