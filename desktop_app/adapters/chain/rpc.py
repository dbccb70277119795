"""The wire to the chain: JSON-RPC over HTTP to several nodes, one after another when one does not answer.

The only module of this folder that imports web3 when it is itself imported, so it is imported late, by `client.py`, in a
thread. Answers are limited in time and size, because a node is a stranger.
"""

import json
import time
from typing import Final, cast

import requests
from web3 import Web3
from web3.exceptions import ContractLogicError, TransactionNotFound, Web3Exception, Web3RPCError
from web3.providers.base import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

MOST_BYTES: Final = 16 << 20
_CHUNK: Final = 1 << 16
_LOOPBACK: Final = ("http://127.0.0.1", "http://[::1]", "http://localhost")

__all__ = ["ContractLogicError", "Nodes", "TransactionNotFound", "Unreachable", "Web3", "Web3Exception", "Web3RPCError", "connect"]


class Unreachable(Exception):
    """No node answered."""


class Nodes(JSONBaseProvider):
    """A web3 provider over several URLs: stays with one that answers, and moves on from one that does not."""

    # a contract's revert must not make this machine fetch addresses of its choosing (EIP-3668)
    global_ccip_read_enabled = False

    def __init__(self, urls: tuple[str, ...], timeout_s: float) -> None:
        super().__init__()
        self._urls = urls
        self._timeout_s = timeout_s
        self._favourite = 0
        # a proxy from the environment would carry what is meant for this machine to another
        self._local = requests.Session()
        self._local.trust_env = False
        self._remote = requests.Session()

    def make_request(self, method: RPCEndpoint, params: object) -> RPCResponse:
        """One request. Raises Unreachable when no node gives a JSON-RPC answer."""
        body = self.encode_rpc_request(method, params)
        trouble = ""
        for turn in range(len(self._urls)):
            place = (self._favourite + turn) % len(self._urls)
            try:
                answer = self._post(self._urls[place], body)
            except (requests.RequestException, OSError, ValueError) as error:
                trouble = type(error).__name__
                continue
            self._favourite = place
            return answer
        raise Unreachable(trouble)

    def close(self) -> None:
        """Close all connections."""
        self._local.close()
        self._remote.close()

    def _post(self, url: str, body: bytes) -> RPCResponse:
        session = self._local if url.startswith(_LOOPBACK) else self._remote
        deadline = time.monotonic() + self._timeout_s
        headers = {"Content-Type": "application/json"}
        with session.post(url, data=body, headers=headers, timeout=self._timeout_s, stream=True, allow_redirects=False) as response:
            read = bytearray()
            for chunk in response.iter_content(_CHUNK):
                read += chunk
                if len(read) > MOST_BYTES or time.monotonic() > deadline:
                    raise ValueError("the answer is too long or too slow")
        answer = json.loads(read)
        if not isinstance(answer, dict) or not ("result" in answer or isinstance(answer.get("error"), dict)):
            raise ValueError("that is no JSON-RPC answer")
        return cast(RPCResponse, answer)  # checked just above, as far as web3 needs it


def connect(urls: tuple[str, ...], timeout_s: float) -> tuple[Web3, Nodes]:
    """web3 over these nodes."""
    nodes = Nodes(urls, timeout_s)
    return Web3(nodes), nodes
