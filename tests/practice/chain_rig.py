"""The chain as others meet it: a process of its own, reached over HTTP, ended as the test wants."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import requests
from eth_account import Account
from hexbytes import HexBytes
from web3 import HTTPProvider, Web3

CHAIN_ID = 31337
RICH = Account.from_key(b"\x11" * 32)
POOR = Account.from_key(b"\x12" * 32)
MONEY = 10**21


class ChainProcess:
    """One run of the chain's process."""

    def __init__(self, folder: Path, port: int = 0, every: float = 1.0) -> None:
        words = [sys.executable, "-m", "tests.practice.chain_process", str(folder), str(port), f"{RICH.address}={MONEY}", f"every={every}"]
        self._log = (folder.parent / "chain.log").open("ab")
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, (folder.parent / "chain.log").read_text()
        self.port = int(line)
        self.session = requests.Session()
        self.web3 = Web3(HTTPProvider(f"http://127.0.0.1:{self.port}", request_kwargs={"timeout": 30}, session=self.session))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.end(signal.SIGTERM)
        self.session.close()
        self._log.close()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()

    def end(self, how: int) -> int:
        """Ends the process and waits for it; returns its exit status."""
        os.kill(self.process.pid, how)
        return self.process.wait(timeout=20)

    def ask(self, method: str, *params: object, headers: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
        """One raw request; HTTP status and answer."""
        return self.post(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode(), headers)

    def post(self, body: bytes, headers: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            with contextlib.suppress(BrokenPipeError):  # a body far too long is refused before it is all sent
                connection.request("POST", "/", body, {"Content-Type": "application/json", **(headers or {})})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def send(self, nonce: int, **changes: object) -> HexBytes:
        """Sends one wei from RICH to POOR and returns the acknowledged hash."""
        return self.web3.eth.send_raw_transaction(signed(nonce, **changes))


@contextmanager
def chain(folder: Path, **options: Any) -> Iterator[ChainProcess]:
    with ChainProcess(folder, **options) as running:
        yield running


def signed(nonce: int, **changes: object) -> bytes:
    """A signed transfer of one wei."""
    usual = {
        "to": POOR.address, "value": 1, "gas": 21_000, "nonce": nonce, "chainId": CHAIN_ID,
        "maxFeePerGas": 10**9, "maxPriorityFeePerGas": 10**6,
    }  # fmt: skip
    return bytes(RICH.sign_transaction({**usual, **changes}).raw_transaction)
