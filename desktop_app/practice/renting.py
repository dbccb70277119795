"""The practice renter's process: waits until the network is there, then rents on it. Started by the practice root."""

import argparse
import asyncio
import logging
import time
from collections.abc import Sequence
from pathlib import Path

from desktop_app.practice.folder import Folder
from desktop_app.practice.lifeline import end_with_parent
from desktop_app.renter.main import rent
from desktop_app.wire.networks import load_practice

_LOOK_EVERY_S = 0.05


def main(arguments: Sequence[str]) -> int:
    """Rent until the parent ends."""
    parser = argparse.ArgumentParser(prog="sublet practice-renter")
    parser.add_argument("folder", type=Path)
    folder = Folder(parser.parse_args(arguments).folder)
    end_with_parent()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    while not folder.network.exists():
        time.sleep(_LOOK_EVERY_S)
    keys = folder.renter_keys()
    asyncio.run(rent(load_practice(folder.network), keys, folder.root))
    return 0
