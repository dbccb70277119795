"""One connection to one chain, proven to be the right one before anything is asked or sent.

Knows the contracts by their bindings, turns a node's silence into AppError and a contract's no into `Reverted`. What talks
HTTP and what counts in curves is imported on the first question (a second, and megabytes), so the roots ask in threads.
Called by `reading.py` and `relaying.py`.
"""

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, Literal, TypeVar

from desktop_app.adapters.chain import answers, quorum
from desktop_app.adapters.chain.abi import Call, Deed, Logs
from desktop_app.adapters.chain.answers import Block, Log, Receipt, Seen
from desktop_app.adapters.chain.bindings import CashOut, GpuGovernor, GpuRegistry, GpuTimelock, MarketPolicy, TaskEscrow, TestUSDC
from desktop_app.adapters.chain.refusals import Refused, explain
from desktop_app.adapters.chain.verifying import Bindings, stranger, verify
from desktop_app.core.errors import AppError
from desktop_app.wire.networks import Network

if TYPE_CHECKING:
    from desktop_app.adapters.chain.rpc import Json, Nodes, RpcError

TIMEOUT_S: Final = 10.0
LOG_RANGE: Final = 2_000
"""Blocks per question for events; public nodes refuse much more."""
_TRIES: Final = 5
_REVERTED: Final = 3  # JSON-RPC's code for a contract's no

T = TypeVar("T")


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
        self.usdc = TestUSDC(network.usdc)
        self.policy = MarketPolicy(network.policy)
        self.registry = GpuRegistry(network.registry)
        self.escrow = TaskEscrow(network.escrow)
        self.cash_out = CashOut(network.cash_out)
        self.timelock = GpuTimelock(network.timelock)
        self.governor = GpuGovernor(network.governor)
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._nodes: Nodes | None = None
        self._verified = False

    def connect(self) -> "Nodes":
        """The nodes of a chain that was checked against the profile."""
        with self._lock:
            if self._nodes is None:
                from desktop_app.adapters.chain.rpc import Nodes

                self._nodes = Nodes(self.network.rpc_urls, self.network.chain_id, self._timeout_s)
            if not self._verified:
                nodes = self._nodes
                verify(self.network, self._bindings(), lambda call: _view(nodes, call), lambda address: _code(nodes, address))
                self._verified = True
            return self._nodes

    def close(self) -> None:
        """Close all connections; a later question opens them again."""
        with self._lock:
            if self._nodes is not None:
                self._nodes.close()

    def ask(self, method: str, *params: "Json") -> "Json":
        """A raw question, with the world's troubles sorted: AppError for a broken world, Reverted for a contract's no."""
        return _sorted(lambda nodes: nodes.ask(method, params), self.connect())

    def tell_all(self, method: str, *params: "Json") -> None:
        """The same to every node, whatever they say to it."""
        _sorted(lambda nodes: nodes.ask_all((method, params)), self.connect())

    def view(self, call: Call[T], block: int | None = None, sender: str | None = None) -> T:
        """A contract's answer at `block`, or now; a deed says what it would do if `sender` did it, and does nothing."""
        return _view(self.connect(), call, block, sender)

    def estimate(self, deed: Deed[T], sender: str) -> int:
        """The gas that the deed would take now; nodes that were not told would count what still waits as done."""
        return answers.quantity(self.ask("eth_estimateGas", _call(deed, sender), "latest"))

    def block(self, which: int | Literal["latest", "finalized"]) -> Block:
        """A block's head, as one node has it."""
        return answers.block(self.ask("eth_getBlockByNumber", which if isinstance(which, str) else hex(which), False))

    def block_number(self) -> int:
        """The newest block; of several nodes, the newest that most of them have."""
        return self._height("latest")

    def block_time(self, number: int | None) -> tuple[int, int]:
        """Number and time (unix seconds) of a block; None: of the newest one that nothing can undo."""
        nodes = self.connect()
        if len(nodes.urls) == 1:
            block = self.block("finalized" if number is None else number)
            return block.number, block.time
        height = self._height("finalized") if number is None else number
        question = ("eth_getBlockByNumber", (hex(height), False))
        head = _sorted(lambda all_: quorum.agreed(all_, [question], lambda said: answers.block(said[0])), nodes)
        return head.number, head.time

    def settled_block(self) -> int:
        """The newest block that has the profile's number of confirmations."""
        return max(0, self.block_number() - self.network.confirmations + 1)

    def view_at(self, height: Callable[[], int], call: Call[T]) -> tuple[T, int]:
        """A contract's answer and the block it was given at, so that a node that lags cannot answer from the past.

        Of several nodes, a majority has to give the same answer at the same block. A node may keep no state but the newest,
        and the chain may grow between two questions, so it is asked again.
        """
        for _ in range(_TRIES):
            block = height()
            try:
                return self._agreed(call, block), block
            except (Silent, Reverted, quorum.Disagreement):
                raise
            except AppError as error:
                trouble = error
        raise trouble

    def events(self, wanted: Logs[T], first: int, last: int) -> Iterator[Seen[T]]:
        """Events between two blocks, both included, oldest first; of several nodes, as most of those that have `last` tell them."""
        topics: list[Json] = [wanted.event.topic]
        topics += [None if one is None else [*one] for one in wanted.topics]
        for start in range(first, last + 1, LOG_RANGE):
            end = min(start + LOG_RANGE - 1, last)
            where: dict[str, Json] = {"address": wanted.address, "topics": topics, "fromBlock": hex(start), "toBlock": hex(end)}
            for log in self._logs(where, end):
                yield log.read(wanted.event)

    def receipt(self, transaction: str) -> Receipt | None:
        """The receipt of a transaction that is in a block."""
        return answers.receipt(self.ask("eth_getTransactionReceipt", transaction))

    def is_settled(self, receipt: Receipt) -> bool:
        """Whether the receipt's block has the profile's confirmations; with several nodes, most of them have to say so."""
        nodes = self.connect()
        if self.network.confirmations > 1 and self.settled_block() < receipt.block:
            return False
        if len(nodes.urls) == 1:
            return True

        def comparable(said: "tuple[Json, ...]") -> tuple[int, bool]:
            found = answers.receipt(said[0])
            return (found.block, found.good) if found is not None else (-1, False)

        question = ("eth_getTransactionReceipt", (receipt.transaction,))
        try:
            return _sorted(lambda all_: quorum.agreed(all_, [question], comparable), nodes) == (receipt.block, receipt.good)
        except quorum.Disagreement:
            return False  # some have not got the block yet

    def _logs(self, where: "dict[str, Json]", last: int) -> tuple[Log, ...]:
        nodes = self.connect()
        if len(nodes.urls) == 1:
            return answers.logs(self.ask("eth_getLogs", where))
        questions = (("eth_getBlockByNumber", (hex(last), False)), ("eth_getLogs", (where,)))

        def comparable(said: "tuple[Json, ...]") -> tuple[str, tuple[Log, ...]]:
            return answers.block(said[0]).hash, answers.logs(said[1])

        return _sorted(lambda all_: quorum.agreed(all_, questions, comparable), nodes)[1]

    def _agreed(self, call: Call[T], block: int) -> T:
        nodes = self.connect()
        if len(nodes.urls) == 1:
            return _view(nodes, call, block)
        questions = (("eth_getBlockByNumber", (hex(block), False)), ("eth_call", (_call(call), hex(block))))

        def comparable(said: "tuple[Json, ...]") -> tuple[str, str]:
            return answers.block(said[0]).hash, answers.data(said[1])

        return call.read(_sorted(lambda all_: quorum.agreed(all_, questions, comparable), nodes)[1])

    def _height(self, tag: str) -> int:
        nodes = self.connect()
        if len(nodes.urls) > 1:
            return _sorted(lambda all_: quorum.reached(all_, tag, lambda said: answers.block(said).number), nodes)
        if tag == "latest":
            return answers.quantity(self.ask("eth_blockNumber"))
        return answers.block(self.ask("eth_getBlockByNumber", tag, False)).number

    def _bindings(self) -> Bindings:
        return Bindings(self.usdc, self.policy, self.registry, self.escrow, self.cash_out, self.timelock, self.governor)


def _call(call: Call[T], sender: str | None = None) -> "dict[str, Json]":
    wanted: dict[str, Json] = {"to": call.address, "data": call.data}
    return wanted if sender is None else wanted | {"from": sender}


def _view(nodes: "Nodes", call: Call[T], block: int | None = None, sender: str | None = None) -> T:
    where = "latest" if block is None else hex(block)
    return call.read(answers.data(_sorted(lambda all_: all_.ask("eth_call", (_call(call, sender), where)), nodes)))


def _code(nodes: "Nodes", address: str) -> str:
    return answers.data(_sorted(lambda all_: all_.ask("eth_getCode", (address, "latest")), nodes))


def _sorted(question: "Callable[[Nodes], T]", nodes: "Nodes") -> T:
    from desktop_app.adapters.chain.rpc import RpcError, Unreachable, WrongChain

    try:
        return question(nodes)
    except Unreachable as error:
        raise Silent(f"The chain cannot be reached ({error}).", "Check the connection; your money is safe where it is.") from error
    except WrongChain as error:
        raise stranger(str(error)) from error
    except RpcError as error:
        if _is_revert(error):
            raise Reverted(explain(error.data)) from error
        advice = "Try again; if it stays so, use another node."
        raise AppError(f"The chain's node gave no useful answer: {str(error)[:200]}.", advice) from error


def _is_revert(error: "RpcError") -> bool:
    return bool(error.data) or error.code == _REVERTED or "revert" in str(error).lower()
