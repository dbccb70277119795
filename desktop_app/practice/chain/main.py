"""The command line of the chain's process: `python -m desktop_app practice-chain FOLDER --fund 0x…=WEI`.

Started by the practice root, never by hand; it carries addresses and amounts only, no key. Writes its port as one line to
standard output and ends with SIGTERM, SIGINT, or (`--with-stdin`) when standard input closes.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from eth_utils.address import is_address

from desktop_app.practice.chain.serve import run


def main(arguments: Sequence[str]) -> int:
    """Serves until it is told to stop; returns 0."""
    parser = argparse.ArgumentParser(prog="sublet practice-chain", description="The embedded practice chain, on loopback.")
    parser.add_argument("folder", type=Path, help="where the chain's file is kept")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free port")
    parser.add_argument("--fund", type=_funded, action="append", default=[], metavar="ADDRESS=WEI", help="money in the first block")
    parser.add_argument("--with-stdin", action="store_true", help="end when standard input closes")
    given = parser.parse_args(arguments)
    run(given.folder, dict(given.fund), given.port, given.with_stdin)
    return 0


def _funded(text: str) -> tuple[str, int]:
    address, _, wei = text.partition("=")
    if not is_address(address) or not wei.isdecimal() or int(wei) >= 2**128:
        raise argparse.ArgumentTypeError("expected 0x-address=wei")
    return address, int(wei)
