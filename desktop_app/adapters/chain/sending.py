"""Sends transactions from one address: simulated first, numbered by one counter, sent again after a lost connection.

The same signed bytes are one transaction however often they are sent. Called by `relaying.py`.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from desktop_app.adapters.chain import ids
from desktop_app.adapters.chain.client import Client, Reverted, Silent
from desktop_app.adapters.chain.refusals import Refused
from desktop_app.core.errors import AppError

if TYPE_CHECKING:
    from web3.contract.contract import ContractFunction
    from web3.types import TxReceipt

Sign = Callable[[dict[str, int | str]], bytes]
"""Signs a transaction; the key stays where it is."""

WAIT_S: Final = 60.0
_POLL_S: Final = 0.1
_RESEND_S: Final = 10.0
_GAS_MARGIN: Final = 5  # a fifth more than estimated: what runs before may change a few storage slots
_MOST_GAS: Final = 16_777_216  # EIP-7825
_KNOWN: Final = ("already known", "already in mempool", "known transaction", "already imported")


@dataclass(frozen=True, slots=True)
class Mined:
    """A deed on the chain. `already`: it had been done before, and nothing was sent; the transaction may then be unknown ("")."""

    transaction: str
    block: int
    gas: int
    already: bool = False


class Sender:
    """One address that pays gas. Safe to use from several threads."""

    def __init__(self, client: Client, address: str, sign: Sign, wait_s: float = WAIT_S) -> None:
        self._client = client
        self.address = ids.checksummed(address)
        self._sign = sign
        self._wait_s = wait_s
        self._lock = threading.Lock()
        self._next = 0  # first number not given out, as far as we know

    def ether(self) -> int:
        """What is left for gas, in wei."""
        eth = self._client.web3().eth
        return self._client.ask(lambda: int(eth.get_balance(ids.checksummed(self.address))))  # type: ignore[arg-type]

    def gas_price(self) -> tuple[int, int]:
        """(maxFeePerGas, maxPriorityFeePerGas) in wei: twice the base fee and the tip, which outlasts six full blocks."""
        eth = self._client.web3().eth
        tip = self._client.ask(lambda: int(eth.max_priority_fee))
        base = self._client.ask(lambda: int(eth.get_block("latest")["baseFeePerGas"]))
        return 2 * base + tip, tip

    def send(self, function: "ContractFunction") -> Mined | Refused:
        """Simulate, send, and wait for the block. Raises AppError when the chain is silent, or slower than the wait."""
        origin = {"from": self.address}
        try:
            self._client.ask(lambda: function.call(origin))  # type: ignore[arg-type]
            estimate = self._client.ask(lambda: function.estimate_gas(origin))  # type: ignore[arg-type]
            transaction = self._transaction(function, min(estimate + estimate // _GAS_MARGIN, _MOST_GAS))
            raw, name = self._submit(transaction)
        except Reverted as no:
            return no.refused
        except AppError as error:
            if "insufficient funds" in str(error).lower():
                raise AppError(f"The address {self.address} has no ether left for gas.", "Send it some.") from error
            raise
        receipt = self._wait(raw, name)
        if receipt["status"] != 1:
            return self._afterwards(function)
        return Mined(name, int(receipt["blockNumber"]), int(receipt["gasUsed"]))

    def _transaction(self, function: "ContractFunction", gas: int) -> dict[str, int | str]:
        most, tip = self.gas_price()
        data = self._client.ask(lambda: str(function._encode_transaction_data()))
        return {
            "type": 2, "chainId": self._client.network.chain_id, "to": str(function.address), "value": 0, "data": data,
            "gas": gas, "maxFeePerGas": most, "maxPriorityFeePerGas": tip,
        }  # fmt: skip

    def _submit(self, transaction: dict[str, int | str]) -> tuple[bytes, str]:
        """Number, sign and send; one at a time, so that no two share a number and none leaves a gap."""
        from eth_utils.crypto import keccak

        with self._lock:
            for fresh in (False, True):
                number = self._pending_count() if fresh else max(self._pending_count(), self._next)
                raw = self._sign(transaction | {"nonce": number})
                name = "0x" + bytes(keccak(raw)).hex()
                if self._sent(raw, name):
                    self._next = number + 1
                    return raw, name
            self._next = 0
        raise AppError("The chain's node does not take the transaction's number.", "Another program may use the relayer's key; stop it.")

    def _pending_count(self) -> int:
        eth = self._client.web3().eth
        return self._client.ask(lambda: int(eth.get_transaction_count(ids.checksummed(self.address), "pending")))  # type: ignore[arg-type]

    def _sent(self, raw: bytes, name: str) -> bool:
        """Whether a node has these bytes now; False when their number is taken by another transaction."""
        eth = self._client.web3().eth
        for pause in (0.2, 1.0, None):
            try:
                self._client.ask(lambda: eth.send_raw_transaction(raw))
                return True
            except Silent:
                if pause is None:
                    raise
                time.sleep(pause)
            except AppError as error:
                if any(word in str(error).lower() for word in _KNOWN):
                    return True
                if "nonce" in str(error).lower() or "replacement" in str(error).lower():
                    return self._receipt(name) is not None
                raise
        raise AssertionError("the last try returns or raises")

    def _wait(self, raw: bytes, name: str) -> "TxReceipt":
        """The receipt; the bytes go out again now and then, should the node have forgotten them."""
        deadline = time.monotonic() + self._wait_s
        resend = time.monotonic() + _RESEND_S
        while True:
            try:
                receipt = self._receipt(name)
                if receipt is not None:
                    return receipt
                if time.monotonic() > resend:
                    resend = time.monotonic() + _RESEND_S
                    self._sent(raw, name)
            except Silent:
                if time.monotonic() > deadline:
                    raise
            if time.monotonic() > deadline:
                with self._lock:
                    self._next = 0
                raise AppError(
                    f"The chain has not confirmed {name} within {self._wait_s:.0f} seconds.", "It may still do so; ask again later."
                )
            time.sleep(_POLL_S)

    def _receipt(self, name: str) -> "TxReceipt | None":
        from desktop_app.adapters.chain.rpc import TransactionNotFound

        eth = self._client.web3().eth

        def look() -> "TxReceipt | None":
            try:
                return eth.get_transaction_receipt(name)  # type: ignore[arg-type]
            except TransactionNotFound:
                return None

        return self._client.ask(look)

    def _afterwards(self, function: "ContractFunction") -> Refused:
        """Why a transaction that looked good failed in its block: most likely somebody else was first."""
        try:
            self._client.ask(lambda: function.call({"from": ids.checksummed(self.address)}))
        except Reverted as no:
            return no.refused
        return Refused("", "the chain refused it in its block, though it would be taken now")
