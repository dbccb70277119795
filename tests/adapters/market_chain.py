"""A real chain for the chain adapter's tests: the practice chain in a process of its own, contracts, keys, a registered GPU.

Used by tests/adapters/test_chain*.py and tests/wire/test_eip712.py, which share one per module.
"""

import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from desktop_app.adapters import chain
from desktop_app.adapters.chain import Chain, Mined, Refused, Relayer, Settled, Sign
from desktop_app.adapters.chain.deploying import deploy
from desktop_app.adapters.keys import Keys
from desktop_app.core.cashout import Quote
from desktop_app.core.money import MicroUsd, Units
from desktop_app.wire import eip712
from desktop_app.wire.eip712 import Registration, Terms, Voucher
from desktop_app.wire.networks import Network, network_of
from tests.adapters.two_chains import Ground, anvil
from tests.founding import terms

ROLES = ("deployer", "attestor", "relayer", "treasury", "arbiter", "guardian", "renter", "owner", "operator")
ETHER = 10**18
TIER = 0
RATE = 1_500_000
HOUR = Units(3_600_000)


@dataclass(frozen=True)
class House:
    """Everything a test needs of the market's chain."""

    network: Network
    keys: Keys
    gpu: int
    hardware: str = ""  # of the GPU

    @contextmanager
    def chain(self, *urls: str) -> Iterator[Chain]:
        """A connection of its own, closed afterwards."""
        opened = Chain(replace(self.network, rpc_urls=urls) if urls else self.network)
        try:
            yield opened
        finally:
            opened.close()

    def signer(self, role: str) -> Sign:
        return lambda transaction: self.keys.sign_transaction(role, transaction)

    def relayer(self, opened: Chain, role: str = "relayer", wait_s: float = 20) -> Relayer:
        return Relayer(opened, self.keys.address(role), self.signer(role), wait_s)

    def terms(self, units: int = HOUR, gpu: int = 0, rate: int = RATE) -> Terms:
        """Terms of a new job."""
        return Terms(
            renter=self.keys.address("renter"), tier=TIER, gpu=gpu, rate=rate, units=Units(units), deadline=int(time.time()) + 3600,
            window=0, spec_hash="0x" + "11" * 32, salt="0x" + secrets.token_hex(32),
        )  # fmt: skip

    def open_job(self, relayer: Relayer, terms: Terms) -> str:
        """Open and fund a job; gives its id."""
        valid_before = int(time.time()) + 600
        signature = self.keys.sign_typed("renter", chain.funding_typed(self.network, terms, valid_before))
        mined(relayer.open_job(terms, valid_before, signature))
        return chain.job_id(self.network, terms)

    def voucher(self, job: str, units: int, gpu: int | None = None, by: str = "renter") -> tuple[Voucher, str]:
        """A voucher and its signature."""
        promise = Voucher(job, self.gpu if gpu is None else gpu, Units(units), "0x" + "22" * 32)
        return promise, self.keys.sign_typed(by, eip712.voucher(chain.escrow_domain(self.network), promise))

    def registration(self, owner: str | None = None, hardware: str | None = None) -> tuple[Registration, str, str]:
        """A GPU's registration, the attestor, and its signature."""
        asked = Registration(
            owner or self.keys.address("owner"),
            hardware or "0x" + secrets.token_hex(32),
            TIER,
            self.keys.address("operator"),
            int(time.time()) + 600,
        )
        return asked, self.network.attestor, self.keys.sign_typed("attestor", eip712.register(chain.registry_domain(self.network), asked))

    def quote(self, amount: int, fee: int = 500, lasts: int = 600) -> Quote:
        return Quote(MicroUsd(amount), MicroUsd(fee), "0x" + secrets.token_hex(32), int(time.time()) + lasts)

    def cash_out_signature(self, to: str, quote: Quote, by: str = "owner") -> str:
        return self.keys.sign_typed(by, chain.cash_out_typed(self.network, self.keys.address(by), to, quote))


def mined(outcome: Mined | Refused) -> Mined:
    """The deed, which must have succeeded."""
    assert isinstance(outcome, Mined), outcome
    return outcome


def refused(outcome: Mined | Settled | Refused) -> Refused:
    """The refusal, which must have come."""
    assert isinstance(outcome, Refused), outcome
    return outcome


def until(done: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)


@contextmanager
def open_house(folder: Path) -> Iterator[House]:
    """Start the practice chain, deploy, fund the renter with a million test dollars, register one GPU."""
    keys = _keys(folder)
    data = folder / "chain"
    data.mkdir()
    funded = [f"{keys.address(role)}={100 * ETHER}" for role in ("deployer", "relayer")]
    command = [sys.executable, "-m", "tests.practice.chain_process", str(data), "0", *funded]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield founded(keys, f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.stdin.close()


@contextmanager
def open_anvil_house(folder: Path) -> Iterator[tuple[House, Ground]]:
    """The same on Anvil, whose blocks and clock are in the test's hands."""
    keys = _keys(folder)
    with anvil(folder) as ground:
        for role in ("deployer", "relayer", "renter"):
            ground.ask("anvil_setBalance", keys.address(role), hex(100 * ETHER))
        yield founded(keys, ground.url), ground


def _keys(folder: Path) -> Keys:
    keys = Keys(folder / "keys", lambda: bytearray(b"only test money here"), standing=ROLES, wallet=False, n=1 << 4)
    keys.create_or_open()
    return keys


def founded(keys: Keys, url: str) -> House:
    """A market founded and furnished on the chain at `url`."""
    asked = terms(url, *(keys.address(role) for role in ("treasury", "arbiter", "guardian", "attestor")))
    found = deploy(asked, keys.address("deployer"), lambda fields: keys.sign_transaction("deployer", fields))
    return _furnished(House(network_of(asked.network, found.places), keys, 0))


def _furnished(house: House) -> House:
    with house.chain() as opened:
        mined(house.relayer(opened, "deployer").mint(house.keys.address("renter"), MicroUsd(10**12)))
        asked, *proof = house.registration()
        mined(house.relayer(opened).register(asked, *proof))
        gpu = opened.gpu_of_hardware(asked.hardware)
        assert gpu is not None
        return replace(house, gpu=gpu, hardware=asked.hardware)
