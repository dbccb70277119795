"""One connection to one chain, proven to be the right one before anything is asked or sent.

Knows the four contracts by their compiled interfaces, turns a node's silence into AppError and a contract's no into
`Refused`. web3 is imported on the first question (seconds, and tens of megabytes), so the roots ask in threads.
Called by `reading.py` and `relaying.py`.
"""

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, TypeVar

from desktop_app.adapters.chain import ids
from desktop_app.adapters.chain.refusals import Refused, abi_of, explain
from desktop_app.core.cashout import Quote
from desktop_app.core.errors import AppError
from desktop_app.core.money import MicroUsd
from desktop_app.wire.networks import Network

if TYPE_CHECKING:
    from web3 import Web3
    from web3.contract import Contract
    from web3.contract.contract import ContractEvent, ContractFunction
    from web3.types import EventData

    from desktop_app.adapters.chain.rpc import Nodes

TIMEOUT_S: Final = 10.0
LOG_RANGE: Final = 2_000
"""Blocks per question for events; public nodes refuse much more."""
_TRIES: Final = 5

_T = TypeVar("_T")


class Silent(AppError):
    """No node answers. What was sent may have arrived."""


class Reverted(AppError):
    """A contract refused a question or a simulated call."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(f"A contract refused: {refused.reason}.", "If this was not expected, correct the network profile.")
        self.refused = refused


class Client:
    """The connection. Every method but `close` may raise AppError: the chain is silent, or is not the one in the profile."""

    def __init__(self, network: Network, timeout_s: float = TIMEOUT_S) -> None:
        self.network = network
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._nodes: Nodes | None = None
        self._web3: Web3 | None = None
        self._verified = False
        self._contracts: dict[str, Contract] = {}

    def web3(self) -> "Web3":
        """web3, connected to a chain that was checked against the profile."""
        with self._lock:
            if self._web3 is None:
                from desktop_app.adapters.chain.rpc import connect

                self._web3, self._nodes = connect(self.network.rpc_urls, self._timeout_s)
                self._contracts = {
                    name: self._web3.eth.contract(address=self._web3.to_checksum_address(address), abi=abi_of(name))
                    for name, address in self._addresses().items()
                }
            if not self._verified:
                self._verify(self._web3)
                self._verified = True
            return self._web3

    def contract(self, name: str) -> "Contract":
        """One of our contracts, checked."""
        self.web3()
        return self._contracts[name]

    def close(self) -> None:
        """Close all connections; a later question opens them again."""
        with self._lock:
            if self._nodes is not None:
                self._nodes.close()

    def ask(self, question: Callable[[], _T]) -> _T:
        """Run a question, with the world's troubles sorted: AppError for a broken world, Reverted for a contract's no."""
        from desktop_app.adapters.chain.rpc import ContractLogicError, Unreachable, Web3Exception

        try:
            return question()
        except Unreachable as error:
            raise Silent(f"The chain cannot be reached ({error}).", "Check the connection; your money is safe where it is.") from error
        except ContractLogicError as error:
            raise Reverted(explain(error.data if isinstance(error.data, str) else "")) from error
        except (Web3Exception, ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
            # web3 meets an answer of the wrong shape with any of these
            advice = "Try again; if it stays so, use another node."
            raise AppError(f"The chain's node gave no useful answer: {str(error)[:200]}.", advice) from error

    def view(self, function: "ContractFunction", block: int | None = None) -> object:
        """A contract's answer at `block`, or now."""
        return self.ask(lambda: function.call() if block is None else function.call(block_identifier=block))

    def block_number(self) -> int:
        """The newest block."""
        eth = self.web3().eth
        return self.ask(lambda: int(eth.block_number))

    def block_time(self, number: int | None) -> tuple[int, int]:
        """Number and time (unix seconds) of a block; None: of the newest one that nothing can undo."""
        eth = self.web3().eth
        block = self.ask(lambda: eth.get_block("finalized" if number is None else number))
        return int(block["number"]), int(block["timestamp"])

    def settled_block(self) -> int:
        """The newest block that has the profile's number of confirmations."""
        return max(0, self.block_number() - self.network.confirmations + 1)

    def view_at(self, height: Callable[[], int], function: "ContractFunction") -> tuple[object, int]:
        """A contract's answer and the block it was given at, so that a node that lags cannot answer from the past.

        A node may keep no state but the newest, and the chain may grow between two questions, so it is asked again.
        """
        for _ in range(_TRIES):
            block = height()
            try:
                return self.view(function, block), block
            except (Silent, Reverted):
                raise
            except AppError as error:
                trouble = error
        raise trouble

    def events(self, event: "ContractEvent", topics: list[object], first: int, last: int) -> Iterator["EventData"]:
        """Events between two blocks, both included, oldest first; `topics` are the indexed values (None: any)."""
        eth = self.web3().eth
        signature = "0x" + bytes.fromhex(event.topic.removeprefix("0x")).hex()
        for start in range(first, last + 1, LOG_RANGE):
            end = min(start + LOG_RANGE - 1, last)
            wanted = {"address": event.address, "topics": [signature, *topics], "fromBlock": hex(start), "toBlock": hex(end)}
            for log in self.ask(lambda wanted=wanted: eth.get_logs(wanted)):  # type: ignore[misc]
                yield self.ask(lambda log=log: event.process_log(log))  # type: ignore[misc]

    def _addresses(self) -> dict[str, str]:
        network = self.network
        return {"TestUSDC": network.usdc, "GpuRegistry": network.registry, "TaskEscrow": network.escrow, "CashOut": network.cash_out}

    def _verify(self, web3: "Web3") -> None:
        """Compare the chain with the profile: a wrong one must not see a signature."""
        network = self.network
        seen = self.ask(lambda: int(web3.eth.chain_id))
        if seen != network.chain_id:
            raise _stranger(f"its chain id is {seen}, not {network.chain_id}")
        for name, contract in self._contracts.items():
            if not self.ask(lambda contract=contract: web3.eth.get_code(contract.address)):  # type: ignore[misc]
                raise _stranger(f"there is no {name} at {contract.address}")
        usdc, escrow = self._contracts["TestUSDC"].functions, self._contracts["TaskEscrow"].functions
        decimals = self.view(usdc.decimals())
        if decimals != 6:
            raise _stranger(f"the stablecoin has {decimals} decimals, not 6")
        sample = ids.cash_out_typed(network, network.treasury, network.treasury, Quote(MicroUsd(0), MicroUsd(0), "0x" + "00" * 32, 0))
        separator = self.view(usdc.DOMAIN_SEPARATOR())
        if not isinstance(separator, bytes) or "0x" + separator.hex() != ids.domain_separator(sample):
            raise _stranger("the stablecoin would not accept what is signed here (its DOMAIN_SEPARATOR differs)")
        for question, answer in (
            (escrow.usdc(), network.usdc),
            (escrow.registry(), network.registry),
            (escrow.attestor(), network.attestor),
            (escrow.treasury(), network.treasury),
            (self._contracts["GpuRegistry"].functions.attestor(), network.attestor),
            (self._contracts["CashOut"].functions.usdc(), network.usdc),
        ):
            said = str(self.view(question))
            if not ids.same_address(said, answer):
                raise _stranger(f"{question.fn_name} is {said}, not {answer}")


def _stranger(what: str) -> AppError:
    return AppError(f"This is not the chain that the network profile describes: {what}.", "Correct or replace the network profile.")
