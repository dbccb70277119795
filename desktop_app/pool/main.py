"""`sublet pool`: the market's house for one network, as a process. Called by `__main__`; the practice network calls `serve`.

Its keys (relayer and attestor) are opened with a passphrase file, as everything without a keyring is.
"""

import argparse
import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from desktop_app.adapters.chain import Chain
from desktop_app.adapters.keys import Keys, passphrase_from_file
from desktop_app.adapters.market import Bus, Endpoint
from desktop_app.core.errors import AppError
from desktop_app.pool.office import Office
from desktop_app.pool.relaying import ATTESTOR, RELAYER
from desktop_app.wire.logins import POOL, login
from desktop_app.wire.networks import Network, load, load_practice
from desktop_app.wire.profile import default

_log = logging.getLogger(__name__)


def main(arguments: Sequence[str]) -> int:
    """Serve one network until told to stop."""
    parser = argparse.ArgumentParser(prog="sublet pool", description="The market's house: admission, rates, relaying, settlement.")
    parser.add_argument("network", nargs="?", default="practice", help="the network to serve")
    parser.add_argument("--folder", type=Path, help="where its keys and logins are; the profile's practice folder by default")
    chosen = parser.parse_args(arguments)
    folder = chosen.folder or default().practice
    network = load_practice(folder / "network.json") if chosen.network == "practice" else load(chosen.network)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    keys = Keys(folder / "keys", lambda: passphrase_from_file(os.environ), standing=(RELAYER, ATTESTOR), wallet=False)
    if keys.create_or_open().needs_passphrase:
        raise AppError("The pool's keys are locked.", "Put the passphrase into a file of mode 600 and name it in SUBLET_PASSPHRASE_FILE.")
    asyncio.run(serve(network, keys, endpoint_of(folder, network)))
    return 0


def endpoint_of(folder: Path, network: Network) -> Callable[[], Endpoint]:
    """Where the market is, with the login in `folder`, read again for each connection."""

    def endpoint() -> Endpoint:
        mine = login(folder, POOL)
        return Endpoint(network.nats_urls, mine.user, mine.password)

    return endpoint


async def serve(network: Network, keys: Keys, endpoint: Callable[[], Endpoint]) -> None:
    """Run the pool until SIGTERM or SIGINT."""
    chain = Chain(network)
    bus = Bus(endpoint, Office(chain, keys).serve, lambda detail: _log.info("%s", detail))
    try:
        await bus.run_until_told()
        _log.info("the pool ends")
    finally:
        chain.close()
