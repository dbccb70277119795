"""The practice chain's process: makes sure of the roles' keys, gives those that pay gas their ether, and is the chain.

The keys are made here because the first block must name who holds ether, and this process loads the same cryptography
anyway. Started by the practice root.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from desktop_app.adapters.chain.deploying import FACTORY_PRICE, FACTORY_SIGNER
from desktop_app.practice.chain.serve import run
from desktop_app.practice.folder import DEPLOYER, RELAYER, Folder
from desktop_app.practice.lifeline import end_with_parent

GAS_MONEY = 10**24  # wei; on this chain it is free


def main(arguments: Sequence[str]) -> int:
    """Serve the chain until the parent ends."""
    parser = argparse.ArgumentParser(prog="sublet practice-evm")
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int)
    chosen = parser.parse_args(arguments)
    end_with_parent()
    folder = Folder(chosen.folder)
    keys = folder.office_keys()
    genesis = {keys.address(role): GAS_MONEY for role in (DEPLOYER, RELAYER)} | {FACTORY_SIGNER: FACTORY_PRICE}
    keys.close()
    run(folder.chain, genesis, chosen.port)
    return 0
