"""The wire to the chain: JSON-RPC over HTTP to several nodes, one after another when one does not answer.

Imports its HTTP library when it is itself imported, so it is imported late, by `client.py`, in a thread. Answers are limited
in time and size, because a node is a stranger. https://www.jsonrpc.org/specification
"""

import json
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeAlias, Union

import requests
from urllib3.exceptions import ProtocolError

Json: TypeAlias = Union[bool, int, float, str, "list[Json]", "dict[str, Json]", None]

MOST_BYTES: Final = 16 << 20
REST_S: Final = 20.0
"""Seconds for which a node that did not answer is asked after all others, and not at all when all are asked at once."""
_CHUNK: Final = 1 << 16
_LOOPBACK: Final = ("http://127.0.0.1", "http://[::1]", "http://localhost")
_BUSY: Final = 429


class Unreachable(Exception):
    """No node answered."""


class WrongChain(Exception):
    """A node is one of another chain."""


class RpcError(Exception):
    """A node's no: JSON-RPC's code and message, and the data of a contract's revert (0x-hex), if there is any."""

    def __init__(self, code: int, message: str, data: str) -> None:
        super().__init__(message)
        self.code, self.data = code, data


@dataclass(frozen=True, slots=True)
class Said:
    """What one node answered when all were asked; `error` when it said no to one of the questions."""

    url: str
    results: tuple[Json, ...] = ()
    error: RpcError | None = None


Request: TypeAlias = tuple[str, Sequence[Json]]
"""Method and parameters."""


class Nodes:
    """Several URLs of one chain: stays with one that answers, and moves on from one that does not.

    Every question may raise WrongChain: a node is asked for its chain's id before anything else.
    """

    def __init__(self, urls: Sequence[str], chain_id: int, timeout_s: float) -> None:
        self.urls = tuple(dict.fromkeys(urls))  # named twice, a node would have two votes
        self._chain_id = chain_id
        self._proven: set[str] = set()
        self._timeout_s = timeout_s
        self._favourite = 0
        self._tired: dict[str, float] = {}  # when a silent node may be asked again
        self._lock = threading.Lock()
        # a proxy from the environment would carry what is meant for this machine to another
        self._local = requests.Session()
        self._local.trust_env = False
        self._remote = requests.Session()

    def ask(self, method: str, params: Sequence[Json]) -> Json:
        """One answer. Raises Unreachable when no node gives a JSON-RPC answer, RpcError when one says no."""
        trouble = ""
        order = [self.urls[(self._favourite + turn) % len(self.urls)] for turn in range(len(self.urls))]
        for url in sorted(order, key=self._is_tired):
            try:
                result = self._one(url, method, params)
            except Unreachable as error:
                trouble = str(error)
                continue
            finally:
                self._prefer(url)
            return result
        raise Unreachable(trouble)

    def ask_all(self, *requests: Request) -> list[Said]:
        """What every node says that answers at all; Unreachable when none does."""
        rested = [url for url in self.urls if not self._is_tired(url)]
        asked = rested if 2 * len(rested) > len(self.urls) else list(self.urls)  # a few alone must not pass for all
        with ThreadPoolExecutor(len(asked)) as pool:
            found = [one for one in pool.map(lambda url: self._said(url, requests), asked) if one is not None]
        if not found:
            raise Unreachable("none of them answers")
        return found

    def distrust(self, url: str) -> None:
        """Ask this node after all others for a while."""
        with self._lock:
            self._tired[url] = time.monotonic() + REST_S

    def close(self) -> None:
        """Close all connections."""
        self._local.close()
        self._remote.close()

    def _said(self, url: str, requests: Sequence[Request]) -> Said | None:
        try:
            return Said(url, tuple(self._one(url, method, params) for method, params in requests))
        except RpcError as error:
            return Said(url, error=error)
        except Unreachable:
            return None

    def _one(self, url: str, method: str, params: Sequence[Json]) -> Json:
        if url not in self._proven:
            seen = self._answer(url, "eth_chainId", ())
            if seen != hex(self._chain_id):
                number = int(seen, 16) if isinstance(seen, str) and seen.startswith("0x") else seen
                raise WrongChain(f"its chain id is {number}, not {self._chain_id}, at {url}")
            self._proven.add(url)
        return self._answer(url, method, params)

    def _answer(self, url: str, method: str, params: Sequence[Json]) -> Json:
        body = json.dumps({"jsonrpc": "2.0", "id": 0, "method": method, "params": list(params)}).encode()
        try:
            return self._posted(url, body)
        except (requests.RequestException, OSError, ValueError) as error:
            self.distrust(url)
            raise Unreachable(type(error).__name__) from error

    def _posted(self, url: str, body: bytes) -> Json:
        """A node may let go of a kept connection just as it is used again: then once more, over another. No question here does
        harm when it is asked twice."""
        try:
            return self._post(url, body)
        except requests.ConnectionError as error:
            if not error.args or not isinstance(error.args[0], ProtocolError):
                raise
        return self._post(url, body)

    def _post(self, url: str, body: bytes) -> Json:
        session = self._local if url.startswith(_LOOPBACK) else self._remote
        deadline = time.monotonic() + self._timeout_s
        headers = {"Content-Type": "application/json"}
        with session.post(url, data=body, headers=headers, timeout=self._timeout_s, stream=True, allow_redirects=False) as response:
            read = bytearray()
            for chunk in response.iter_content(_CHUNK):
                read += chunk
                if len(read) > MOST_BYTES or time.monotonic() > deadline:
                    raise ValueError("the answer is too long or too slow")
        if response.status_code == _BUSY:
            raise ValueError("the node is too busy")
        answer: Json = json.loads(read)
        if not isinstance(answer, dict):
            raise ValueError("that is no JSON-RPC answer")
        error = answer.get("error")
        if isinstance(error, dict):
            raise _no(error)
        if "result" not in answer:
            raise ValueError("that is no JSON-RPC answer")
        return answer["result"]

    def _is_tired(self, url: str) -> bool:
        return self._tired.get(url, 0.0) > time.monotonic()

    def _prefer(self, url: str) -> None:
        if not self._is_tired(url):
            self._favourite = self.urls.index(url)


def _no(error: "dict[str, Json]") -> RpcError:
    code, message = error.get("code"), error.get("message")
    return RpcError(code if isinstance(code, int) else 0, str(message)[:500], _revert_data(error.get("data")))


def _revert_data(data: Json) -> str:
    """Nodes put it in different places: a text of hex, words and then hex, or an object that holds one."""
    if isinstance(data, dict):
        return next((found for found in map(_revert_data, data.values()) if found), "")
    if not isinstance(data, str):
        return ""
    start = data.find("0x")
    return data[start:].split()[0] if start >= 0 else ""
