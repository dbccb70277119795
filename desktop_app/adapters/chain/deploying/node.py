"""The deployer's own line to a chain that has no contracts of ours yet: asks, estimates, and sends what is signed elsewhere.

`client.py` trusts a chain only once the profile's contracts are there, so it cannot be what puts them there. Called by
`deploying`.
"""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from desktop_app.adapters.chain import answers
from desktop_app.adapters.chain.abi import Call, Logs
from desktop_app.adapters.chain.answers import Seen, quantity
from desktop_app.adapters.chain.deploying.market import Step
from desktop_app.adapters.chain.refusals import explain
from desktop_app.core.errors import AppError

if TYPE_CHECKING:
    from desktop_app.adapters.chain.rpc import Json

Sign = Callable[[dict[str, int | str]], bytes]
"""Signs a transaction; the key stays where it is."""

TIMEOUT_S: Final = 20.0
WAIT_S: Final = 180.0
LOG_RANGE: Final = 2_000
"""Blocks per question for events; public nodes refuse much more."""
_POLL_S: Final = 0.1
_GAS_MARGIN: Final = 5  # a fifth more than estimated
_MOST_GAS: Final = 16_777_216  # EIP-7825
_KNOWN: Final = ("already known", "already in mempool", "known transaction", "already imported")

_T = TypeVar("_T")


class No(AppError):
    """The node, or a contract behind it, answered with an error."""


class Node:
    """One connection, for one deployer. Every method may raise AppError; `close` ends it."""

    def __init__(self, urls: tuple[str, ...], chain_id: int, wait_s: float = WAIT_S) -> None:
        from desktop_app.adapters.chain.rpc import Nodes

        self._nodes = Nodes(urls, chain_id, TIMEOUT_S)
        self._chain_id = chain_id
        self._wait_s = wait_s

    def close(self) -> None:
        self._nodes.close()

    def code(self, address: str) -> bytes:
        return bytes.fromhex(answers.data(self._request("eth_getCode", address, "latest"))[2:])

    def balance(self, address: str) -> int:
        """Wei."""
        return quantity(self._request("eth_getBalance", address, "latest"))

    def head(self) -> int:
        return quantity(self._request("eth_blockNumber"))

    def ask(self, call: Call[_T]) -> _T:
        """A contract's answer, now."""
        return call.read(answers.data(self._request("eth_call", {"to": call.address, "data": call.data}, "latest")))

    def events(self, wanted: Logs[_T], first: int, last: int) -> list[Seen[_T]]:
        """Events between two blocks, both included, oldest first."""
        found: list[Seen[_T]] = []
        topics: list[Json] = [wanted.event.topic, *map(_any_of, wanted.topics)]
        for start in range(first, last + 1, LOG_RANGE):
            where: dict[str, Json] = {
                "address": wanted.address, "topics": topics,
                "fromBlock": hex(start), "toBlock": hex(min(start + LOG_RANGE - 1, last)),
            }  # fmt: skip
            found += [log.read(wanted.event) for log in answers.logs(self._request("eth_getLogs", where))]
        return found

    def price(self) -> tuple[int, int]:
        """(maxFeePerGas, maxPriorityFeePerGas) in wei: twice the base fee and the tip."""
        base = answers.block(self._request("eth_getBlockByNumber", "latest", False)).base_fee
        tip = quantity(self._request("eth_maxPriorityFeePerGas"))
        return 2 * base + tip, tip

    def estimate(self, step: Step, sender: str) -> int:
        """Gas to give it, a fifth more than it would use now. Raises No when it would fail now."""
        used = quantity(self._request("eth_estimateGas", {"from": sender, "to": step.to, "data": step.data, "value": hex(step.value)}))
        return min(used + used // _GAS_MARGIN, _MOST_GAS)

    def settle(self, sender: str) -> int:
        """Wait until nothing of an earlier run is still on its way; gives the sender's next nonce."""
        end = time.monotonic() + self._wait_s
        while True:
            mined, waiting = (quantity(self._request("eth_getTransactionCount", sender, when)) for when in ("latest", "pending"))
            if mined == waiting:
                return mined
            if time.monotonic() > end:
                advice = "Wait, or replace them; then run this again."
                raise AppError(f"{waiting - mined} of the deployer's transactions wait to be mined.", advice)
            time.sleep(_POLL_S)

    def send(self, steps: Sequence[Step], sender: str, sign: Sign, *, guess: bool = False) -> int:
        """Send all of these and wait until all are mined; gives the gas used.

        They may not need one another's effects, unless each is given its usual gas by `guess`.
        """
        number = self.settle(sender)
        price, tip = self.price()
        names: list[tuple[str, Step]] = []
        for step in steps:
            raw = step.raw
            if not raw:
                raw = sign({
                    "type": 2, "chainId": self._chain_id, "nonce": number, "to": step.to, "value": step.value, "data": step.data,
                    "gas": step.usual_gas if guess else self.estimate(step, sender), "maxFeePerGas": price, "maxPriorityFeePerGas": tip,
                })  # fmt: skip
                number += 1
            names.append((self._submit(raw), step))
        return sum(self._mined(name, step) for name, step in names)

    def _submit(self, raw: bytes) -> str:
        from eth_utils.crypto import keccak

        try:
            self._request("eth_sendRawTransaction", "0x" + raw.hex())
        except No as error:
            if not any(word in str(error).lower() for word in _KNOWN):
                raise
        return "0x" + bytes(keccak(raw)).hex()

    def _mined(self, name: str, step: Step) -> int:
        """The gas it took, once it is in a block."""
        end = time.monotonic() + self._wait_s
        while True:
            receipt = answers.receipt(self._request("eth_getTransactionReceipt", name))
            if receipt is not None:
                if not receipt.good:
                    raise AppError(f"The chain refused to {step.what} ({name}).", "Run this again; it goes on where it stopped.")
                return receipt.gas
            if time.monotonic() > end:
                raise AppError(f"The chain has not mined {name} ({step.what}).", "Run this again later; it goes on where it stopped.")
            time.sleep(_POLL_S)

    def _request(self, method: str, *params: "Json") -> "Json":
        from desktop_app.adapters.chain.rpc import RpcError, Unreachable, WrongChain

        try:
            return self._nodes.ask(method, params)
        except Unreachable as error:
            raise AppError(f"The chain cannot be reached ({error}).", "Check rpc_urls and the connection.") from error
        except WrongChain as error:
            raise AppError(f"The node is not on the deployment's chain: {error}.", "Correct rpc_urls or chain_id.") from error
        except RpcError as error:
            reason = explain(error.data).reason if len(error.data) >= 10 else str(error)[:200]
            raise No(f"The node refuses {method}: {reason}.", "Run this again when that is mended; it goes on where it stopped.") from error


def _any_of(topics: list[str] | None) -> "Json":
    return None if topics is None else [*topics]
