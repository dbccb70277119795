"""The JSON-RPC methods this chain answers, and the door where parameters become types.

Only what web3 needs of a live chain, and nothing that uses a key: this chain holds none. The state can be asked for at the
newest block only. Called by `server`, one request at a time per connection.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from eth.exceptions import Revert
from eth_typing import Address
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError

from desktop_app.practice.chain import render
from desktop_app.practice.chain.estimate import RunFailed, estimate
from desktop_app.practice.chain.ledger import BLOCK_GAS, CHAIN_ID, TX_GAS, Call, Ledger
from desktop_app.practice.chain.pool import Refused
from desktop_app.practice.chain.render import Json, data, quantity
from desktop_app.practice.chain.store import LogQuery

MOST_LOGS = 10_000
MOST_DATA = 131_072
"""Bytes of input a transaction or call may carry."""
SUGGESTED_TIP = 1_000_000
"""Wei per gas."""
QUIET = 60
"""Seconds after which asking for the final block mines an empty one, so that deadlines pass on a quiet chain too."""

INVALID_PARAMS, NO_SUCH_METHOD, REFUSED, TOO_MUCH, REVERTED = -32602, -32601, -32000, -32005, 3


_T = TypeVar("_T")


class RpcError(Exception):
    """An answer that is an error: JSON-RPC's code and message, and the data a contract reverted with."""

    def __init__(self, code: int, message: str, reverted_with: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, reverted_with


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed `eth_getLogs` filter; `at` is a block hash when one was given."""

    query: LogQuery
    at: bytes | None


class Methods:
    """The methods by name; `answer` is the one way in."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._by_name: dict[str, Callable[[list[Json]], Json]] = {
            "web3_clientVersion": lambda _: "sublet-practice/1",
            "web3_sha3": lambda params: data(keccak(_bytes(_at(params, 0)))),
            "net_version": lambda _: str(CHAIN_ID),
            "eth_chainId": lambda _: quantity(CHAIN_ID),
            "eth_syncing": lambda _: False,
            "eth_blockNumber": lambda _: quantity(ledger.head.block_number),
            "eth_gasPrice": lambda _: quantity(render.base_fee(ledger.pending_header()) + SUGGESTED_TIP),
            "eth_maxPriorityFeePerGas": lambda _: quantity(SUGGESTED_TIP),
            "eth_feeHistory": self._fee_history,
            "eth_getBlockByNumber": self._block_by_number,
            "eth_getBlockByHash": self._block_by_hash,
            "eth_getBalance": lambda params: quantity(ledger.balance(self._account(params))),
            "eth_getCode": lambda params: data(ledger.code(self._account(params))),
            "eth_getTransactionCount": self._transaction_count,
            "eth_call": self._call,
            "eth_estimateGas": lambda params: quantity(self._run(estimate, self._call_of(params))),
            "eth_sendRawTransaction": self._send_raw,
            "eth_getTransactionByHash": self._transaction,
            "eth_getTransactionReceipt": self._receipt,
            "eth_getLogs": self._logs,
        }

    def answer(self, method: str, params: list[Json]) -> Json:
        """The result. Raises RpcError."""
        found = self._by_name.get(method)
        if found is None:
            raise RpcError(NO_SUCH_METHOD, f"the method {method[:60]} does not exist here; this chain holds no keys")
        try:
            with self._ledger.reading():  # no block comes between what a question asks about and its answer
                return found(params)
        except Refused as reason:
            raise RpcError(REFUSED, str(reason)) from reason

    def _transaction_count(self, params: list[Json]) -> Json:
        return quantity(self._ledger.nonce(self._account(params), pending=_at(params, 1, "latest") == "pending"))

    def _send_raw(self, params: list[Json]) -> Json:
        return data(self._ledger.accept(_bytes(_at(params, 0))))

    def _call(self, params: list[Json]) -> Json:
        computation = self._run(Ledger.call, self._call_of(params))
        if computation.is_error:
            raise _failed(computation.error)
        return data(computation.output)

    def _run(self, how: Callable[[Ledger, Call], _T], call: Call) -> _T:
        try:
            return how(self._ledger, call)
        except RunFailed as failed:
            raise _failed(failed.reason) from failed
        except ValidationError as reason:
            raise RpcError(REFUSED, str(reason)) from reason

    def _call_of(self, params: list[Json]) -> Call:
        self._newest_only(_at(params, 1, "latest"))
        body = _at(params, 0)
        if not isinstance(body, dict):
            raise RpcError(INVALID_PARAMS, "a call is an object")
        given = body.get("input") or body.get("data") or "0x"
        gas = min(_number(body.get("gas") or quantity(TX_GAS)), TX_GAS)
        to = body.get("to")
        return Call(
            sender=Address(_sized(body.get("from") or "0x" + "00" * 20, 20)),
            to=Address(_sized(to, 20) if to else b""),
            value=_number(body.get("value") or "0x0"),
            data=_bytes(given),
            gas=gas,
        )

    def _account(self, params: list[Json]) -> Address:
        self._newest_only(_at(params, 1, "latest"))
        return Address(_sized(_at(params, 0), 20))

    def _newest_only(self, which: Json) -> None:
        if self._number_of(which) < self._ledger.head.block_number:
            raise RpcError(REFUSED, "the state of older blocks is not kept here; ask for the newest")

    def _number_of(self, which: Json) -> int:
        """The block number behind a tag or a number; the pending block is one past the newest."""
        newest = self._ledger.head.block_number
        tags = {"latest": newest, "safe": newest, "finalized": newest, "pending": newest + 1, "earliest": 0}
        if isinstance(which, str) and which in tags:
            return tags[which]
        return _number(which)

    def _block_by_number(self, params: list[Json]) -> Json:
        which = _at(params, 0)
        if which == "pending":
            header = self._ledger.pending_header()
            return render.block(header, (), 0) | {"hash": None, "nonce": None, "logsBloom": None}
        if which in ("finalized", "safe"):
            self._ledger.keep_up(QUIET)
        number = self._number_of(which)
        with self._ledger.reading() as store:
            return _whole(store.block_by_number(number), store.txs_of(number) if _at(params, 1, False) is True else None)

    def _block_by_hash(self, params: list[Json]) -> Json:
        wanted = _sized(_at(params, 0), 32)
        with self._ledger.reading() as store:
            body = store.block_by_hash(wanted)
            if body is None or _at(params, 1, False) is not True:
                return _whole(body, None)
            return _whole(body, store.txs_of(int(json.loads(body)["number"], 16)))

    def _transaction(self, params: list[Json]) -> Json:
        wanted = _sized(_at(params, 0), 32)
        with self._ledger.reading() as store:
            waiting = self._ledger.waiting(wanted)
            if waiting is not None:
                return render.transaction(waiting, None, render.base_fee(self._ledger.head))
            return _whole(store.tx(wanted), None)

    def _receipt(self, params: list[Json]) -> Json:
        with self._ledger.reading() as store:
            return _whole(store.receipt(_sized(_at(params, 0), 32)), None)

    def _fee_history(self, params: list[Json]) -> Json:
        count = min(max(_number(_at(params, 0)), 1), 1024)
        last = min(self._number_of(_at(params, 1, "latest")), self._ledger.head.block_number)
        first = max(0, last - count + 1)
        percentiles = _at(params, 2, [])
        rewards = len(percentiles) if isinstance(percentiles, list) else 0
        with self._ledger.reading() as store:
            blocks = [json.loads(store.block_by_number(number) or "{}") for number in range(first, last + 1)]
        fees: list[Json] = [one["baseFeePerGas"] for one in blocks]
        return {
            "oldestBlock": quantity(first),
            "baseFeePerGas": [*fees, quantity(render.base_fee(self._ledger.pending_header()))],
            "gasUsedRatio": [int(one["gasUsed"], 16) / BLOCK_GAS for one in blocks],
            "reward": [[quantity(SUGGESTED_TIP)] * min(rewards, 100) for _ in blocks],
        }

    def _logs(self, params: list[Json]) -> Json:
        wanted = self._filter(_at(params, 0))
        with self._ledger.reading() as store:
            query = wanted.query
            if wanted.at is not None:
                body = store.block_by_hash(wanted.at)
                if body is None:
                    raise RpcError(REFUSED, "block not found")
                number = int(json.loads(body)["number"], 16)
                query = LogQuery(number, number, query.addresses, query.topics)
            found = store.logs(query, MOST_LOGS + 1)
        if len(found) > MOST_LOGS:
            raise RpcError(TOO_MUCH, f"more than {MOST_LOGS} events match; ask for fewer blocks")
        return [json.loads(one) for one in found]

    def _filter(self, body: Json) -> Filter:
        if not isinstance(body, dict):
            raise RpcError(INVALID_PARAMS, "a filter is an object")
        topics = body.get("topics") or []
        if not isinstance(topics, list) or len(topics) > 4:
            raise RpcError(INVALID_PARAMS, "topics are a list of at most four")
        query = LogQuery(
            first=self._number_of(body.get("fromBlock") or "latest"),
            last=self._number_of(body.get("toBlock") or "latest"),
            addresses=_any_of(body.get("address"), 20),
            topics=tuple(_any_of(one, 32) for one in topics),
        )
        at = body.get("blockHash")
        return Filter(query, None if at is None else _sized(at, 32))


def _failed(error: object) -> RpcError:
    """What a contract's failure looks like from outside: a revert carries its data, so that web3 can name the custom error."""
    if isinstance(error, Revert):
        return RpcError(REVERTED, "execution reverted", data(bytes(error.args[0]) if error.args else b""))
    return RpcError(REFUSED, f"execution failed: {error}")


def _whole(body: str | None, txs: list[str] | None) -> Json:
    if body is None:
        return None
    parsed: dict[str, Json] = json.loads(body)
    if txs is not None:
        parsed["transactions"] = [json.loads(one) for one in txs]
    return parsed


def _at(params: list[Json], index: int, missing: Json = None) -> Json:
    return params[index] if len(params) > index and params[index] is not None else missing


def _bytes(given: Json) -> bytes:
    if not isinstance(given, str) or not given.startswith("0x") or len(given) > 2 + 2 * MOST_DATA:
        raise RpcError(INVALID_PARAMS, f"expected 0x and hex digits for at most {MOST_DATA} bytes")
    try:
        return bytes.fromhex(given[2:])
    except ValueError as reason:
        raise RpcError(INVALID_PARAMS, "expected 0x and an even number of hex digits") from reason


def _sized(given: Json, size: int) -> bytes:
    found = _bytes(given)
    if len(found) != size:
        raise RpcError(INVALID_PARAMS, f"expected {size} bytes")
    return found


def _number(given: Json) -> int:
    if isinstance(given, int) and not isinstance(given, bool) and 0 <= given < 2**256:
        return given
    if not isinstance(given, str) or not given.startswith("0x") or len(given) > 66:
        raise RpcError(INVALID_PARAMS, "expected a number as 0x and hex digits, or a block tag")
    try:
        return int(given, 16)
    except ValueError as reason:
        raise RpcError(INVALID_PARAMS, "expected a number as 0x and hex digits, or a block tag") from reason


def _any_of(given: Json, size: int) -> tuple[bytes, ...]:
    """One value, a list of which any matches, or None for all."""
    if given is None:
        return ()
    if isinstance(given, list):
        if len(given) > 100:
            raise RpcError(INVALID_PARAMS, "at most a hundred alternatives")
        return tuple(_sized(one, size) for one in given)
    return (_sized(given, size),)
