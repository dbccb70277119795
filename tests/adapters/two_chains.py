"""The two chains that deploying and voting are tested on, each a process of its own in real time: the practice chain, and Anvil
without the factory that it would else begin with. Called by test_deploying.py and test_governing.py.
"""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from eth_account import Account
from eth_account.signers.local import LocalAccount

from desktop_app.practice.lifeline import die_with_parent
from tests.contracts.conftest import installed_modules
from tests.contracts.ground import foundry
from tests.ports import free_port

DEPLOYER = Account.from_key(b"\x41" * 32)
PEOPLE = [Account.from_key(bytes([number]) * 32) for number in range(0x42, 0x4A)]
TREASURY, ARBITER, GUARDIAN, ATTESTOR, SECOND, RELAYER, OWNER, RENTER = PEOPLE
ETHER = 10**18


@dataclass(frozen=True)
class Ground:
    """A chain on which the deployer, the relayer and the owner have a hundred ether each."""

    name: str
    url: str

    def ask(self, method: str, *params: str | bool) -> object:
        """A raw question, which must be answered."""
        with requests.Session() as session:
            answer = session.post(self.url, json={"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}, timeout=30).json()
        assert "error" not in answer, answer
        return answer["result"]

    def wait(self, seconds: int) -> None:
        """Let the chain's time pass."""
        if self.name == "practice":
            time.sleep(seconds)
        else:
            self.ask("evm_increaseTime", hex(seconds))
            self.ask("evm_mine")

    def reorganise(self, depth: int) -> None:
        """Replace the newest blocks by empty ones; Anvil only."""
        self._tell("anvil_reorg", depth, [])

    def impersonate(self, sender: str, to: str, data: str) -> None:
        """Send a call from an address whose key nobody here has; Anvil only."""
        self.ask("anvil_setBalance", sender, hex(ETHER))
        self.ask("anvil_impersonateAccount", sender)
        self._tell("eth_sendTransaction", {"from": sender, "to": to, "data": data})

    def _tell(self, method: str, *params: object) -> None:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        with requests.Session() as session:
            answer = session.post(self.url, data=body, headers={"Content-Type": "application/json"}, timeout=30).json()
        assert "error" not in answer, answer

    def count(self, address: str) -> int:
        """Transactions mined from an address."""
        return int(str(self.ask("eth_getTransactionCount", address, "latest")), 16)


def signer(account: LocalAccount) -> Callable[[dict[str, int | str]], bytes]:
    return lambda fields: bytes(account.sign_transaction(fields).raw_transaction)  # type: ignore[arg-type]  # narrower than it takes


@contextmanager
def practice_chain(folder: Path) -> Iterator[Ground]:
    funded = [f"{who.address}={100 * ETHER}" for who in (DEPLOYER, RELAYER, OWNER)]
    command = [sys.executable, "-m", "tests.practice.chain_process", str(folder), "0", *funded]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield Ground("practice", f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.stdin.close()


@contextmanager
def anvil(_folder: Path) -> Iterator[Ground]:
    program, port = foundry(installed_modules(), "anvil"), free_port()
    command = [str(program), "--host", "127.0.0.1", "--port", str(port), "--quiet", "--no-cors", "--disable-default-create2-deployer"]
    before = die_with_parent if sys.platform == "linux" else None
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=before) as process:
        try:
            ground = Ground("anvil", f"http://127.0.0.1:{port}")
            end = time.monotonic() + 30
            while time.monotonic() < end:
                with contextlib.suppress(requests.ConnectionError):
                    ground.ask("eth_chainId")
                    break
                time.sleep(0.02)
            for who in (DEPLOYER, RELAYER, OWNER):
                ground.ask("anvil_setBalance", who.address, hex(100 * ETHER))
            yield ground
        finally:
            process.kill()


CHAINS = {"practice": practice_chain, "anvil": anvil}
