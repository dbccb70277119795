"""The two chains that the contracts are tested on, behind one word: py-evm in this process, and Anvil, a process of its own.

Both begin at the same second and add one second per block, so that a test knows the second of every transaction beforehand.
Called by `market.Market`, which knows nothing of the difference, and so by every test, benchmark and state machine.
"""

import ast
import contextlib
import http.client
import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Protocol, cast

from eth_account import Account
from eth_tester import EthereumTester, PyEVMBackend
from eth_tester.exceptions import TransactionFailed
from eth_typing import ChecksumAddress
from hexbytes import HexBytes
from web3 import EthereumTesterProvider, Web3
from web3.datastructures import AttributeDict
from web3.middleware import AttributeDictMiddleware
from web3.providers.base import JSONBaseProvider
from web3.types import LogReceipt, RPCEndpoint, RPCResponse, TxParams

from desktop_app.practice.lifeline import die_with_parent
from tests.ports import free_port

ACCOUNTS = 40
"""Accounts that hold ether, with the keys 1, 2, 3, …"""
START = 1_900_000_000
"""The first block's time on both chains, unix seconds."""
TX_GAS = 1 << 24
"""No transaction may ask for more gas than this (EIP-7825)."""


class Ground(Protocol):
    """A chain whose time and past are in the test's hands."""

    name: str
    web3: Web3

    def why(self, transaction: TxParams) -> bytes | None:
        """What the transaction reverts with on the newest block's state, at that block's time; None if it does not."""

    def logs(self, addresses: Collection[str], start: int) -> list[LogReceipt]:
        """All events of these contracts from block `start` on."""

    def mine_at(self, timestamp: int) -> None:
        """An empty block of this unix second, later than the newest block's."""

    def snapshot(self) -> str: ...

    def revert(self, snapshot: str) -> None:
        """Back to a snapshot, which is used up."""

    def close(self) -> None: ...


class InProcess:
    """eth-tester over py-evm."""

    name = "py-evm"

    def __init__(self) -> None:
        genesis = PyEVMBackend.generate_genesis_params(overrides={"timestamp": START})
        state = PyEVMBackend.generate_genesis_state(num_accounts=ACCOUNTS)
        self._tester = EthereumTester(PyEVMBackend(genesis, state))
        self.web3 = Web3(_Direct(self._tester), middleware=[(AttributeDictMiddleware, "attrdict")])
        self.web3.eth.default_account = self.web3.eth.accounts[0]  # or each call looks for one, for longer than it takes itself

    def why(self, transaction: TxParams) -> bytes | None:
        try:
            self.web3.eth.call(transaction)
        except TransactionFailed as failed:
            said = str(failed).removeprefix("execution reverted: ")
            return bytes(ast.literal_eval(said)) if said[:2] in ("b'", 'b"') else b""  # else in words: out of gas, and the like
        return None

    def logs(self, addresses: Collection[str], start: int) -> list[LogReceipt]:
        wanted = {bytes.fromhex(one[2:]): one for one in addresses}
        chain, found = self._tester.backend.chain, []
        for number in range(start, self.web3.eth.block_number + 1):
            block = chain.get_canonical_block_by_number(number)
            for place, receipt in enumerate(block.get_receipts(chain.chaindb)):
                for index, log in enumerate(receipt.logs):
                    if log.address in wanted:
                        found.append(_log(wanted[log.address], number, place, index, log))
        return found

    def mine_at(self, timestamp: int) -> None:
        self._tester.time_travel(timestamp + 1)  # the time of the block after the one that it mines

    def snapshot(self) -> str:
        return str(self._tester.take_snapshot())

    def revert(self, snapshot: str) -> None:
        self._tester.revert_to_snapshot(int(snapshot))

    def close(self) -> None:
        """Nothing is held."""


class _Direct(EthereumTesterProvider):
    """Views go straight to the EVM, past several translations of every field, in half the time."""

    def request_func(self, w3: Web3, middleware_onion: Any) -> Callable[..., RPCResponse]:
        usual = super().request_func(w3, middleware_onion)
        return lambda method, params: self._view(params[0]) if method == "eth_call" else usual(method, params)

    def _view(self, transaction: dict[str, Any]) -> RPCResponse:
        plain: dict[str, object] = {name: bytes(HexBytes(transaction.get(name, b""))) for name in ("from", "to", "data")}
        plain |= {name: int(transaction[name], 16) for name in ("gas", "value") if name in transaction}
        assert self.ethereum_tester is not None
        output = self.ethereum_tester.backend.call(plain, "latest")
        return {"jsonrpc": "2.0", "id": 1, "result": "0x" + output.hex()}


def _log(address: str, number: int, place: int, index: int, log: Any) -> LogReceipt:
    """As a node would give it."""
    topics = [HexBytes(one.to_bytes(32, "big")) for one in log.topics]
    nothing = HexBytes(b"\0" * 32)
    made = {"address": address, "topics": topics, "data": HexBytes(log.data), "blockNumber": number, "transactionIndex": place}
    return cast(LogReceipt, AttributeDict({**made, "logIndex": index, "blockHash": nothing, "transactionHash": nothing, "removed": False}))


class AnvilGround:
    """An Anvil process on a free loopback port, gone with `close` and with the process that started it."""

    name = "anvil"

    def __init__(self, program: Path) -> None:
        self._process, self._line = _start(program)
        self.web3 = Web3(self._line, middleware=[(AttributeDictMiddleware, "attrdict")])
        self._ask("anvil_setBlockTimestampInterval", 1)
        for number in range(1, ACCOUNTS + 1):
            self._ask("anvil_setBalance", Account.from_key(number.to_bytes(32, "big")).address, hex(10**24))

    def why(self, transaction: TxParams) -> bytes | None:
        plain = {name: hex(value) if isinstance(value, int) else value for name, value in transaction.items() if value != b""}
        answer = self._line.make_request(RPCEndpoint("eth_call"), [plain, "latest"])
        if "error" not in answer:
            return None
        return bytes.fromhex(str(cast(dict[str, Any], answer["error"]).get("data", "0x"))[2:])

    def logs(self, addresses: Collection[str], start: int) -> list[LogReceipt]:
        return self.web3.eth.get_logs({"address": [cast(ChecksumAddress, one) for one in addresses], "fromBlock": start})

    def mine_at(self, timestamp: int) -> None:
        self._ask("evm_setNextBlockTimestamp", timestamp)
        self._ask("evm_mine")

    def snapshot(self) -> str:
        return str(self._ask("evm_snapshot"))

    def revert(self, snapshot: str) -> None:
        assert self._ask("evm_revert", snapshot) is True

    def close(self) -> None:
        self._line.close()
        self._process.kill()
        self._process.wait()

    def _ask(self, method: str, *arguments: object) -> object:
        answer = self._line.make_request(RPCEndpoint(method), list(arguments))
        assert "error" not in answer, answer
        return answer["result"]


class _Line(JSONBaseProvider):
    """One kept connection: half the time of web3's own provider, and nothing to leak."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        if method != "eth_sendTransaction":
            return self._exchange(method, params)
        answer = self._exchange(RPCEndpoint("eth_sendTransactionSync"), params)  # so that its block is there afterwards
        if "error" not in answer:
            answer["result"] = answer["result"]["transactionHash"]
        return answer

    def _exchange(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        self._connection.request("POST", "/", self.encode_rpc_request(method, params), {"Content-Type": "application/json"})
        return self.decode_rpc_response(self._connection.getresponse().read())

    def close(self) -> None:
        self._connection.close()


def _start(program: Path) -> tuple[subprocess.Popen[bytes], _Line]:
    """Another may take the free port first, so that it is tried again with another port."""
    for _ in range(3):
        port = free_port()
        options = ["--host", "127.0.0.1", "--port", str(port), "--timestamp", str(START), "--accounts", "1"]
        options += ["--auto-impersonate", "--enable-tx-gas-limit", "--quiet", "--no-cors", "--no-request-size-limit"]
        before: Callable[[], None] | None = die_with_parent if sys.platform == "linux" else None
        process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=before)
        line = _Line(port)
        end = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < end:
            with contextlib.suppress(OSError, http.client.HTTPException):
                line.make_request(RPCEndpoint("anvil_nodeInfo"), [])
                return process, line
            line.close()
            time.sleep(0.02)
        process.kill()
        process.wait()
    raise AssertionError("anvil does not start")


def foundry(modules: Path, tool: str) -> Path:
    """The program `anvil` or `forge` in an installed `node_modules`; npm's own wrapper would need node at each start."""
    (found,) = (modules / "@foundry-rs").glob(f"{tool}-*/bin/{tool}{'.exe' if os.name == 'nt' else ''}")
    return found
