"""A whole market on an in-process EVM: the four contracts deployed, accounts with keys, and the words the tests speak.

Signatures are made with `wire.eip712`, so that these tests hold it to the contracts. `check_books` rebuilds every balance
from events alone and compares it with what the contracts and the token say.
"""

import ast
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol, cast

import pytest
from eth_account import Account
from eth_tester import EthereumTester, PyEVMBackend
from eth_tester.exceptions import TransactionFailed
from eth_typing import HexStr
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from hexbytes import HexBytes
from web3 import EthereumTesterProvider, Web3
from web3.contract import Contract
from web3.contract.contract import ContractConstructor, ContractFunction
from web3.types import TxReceipt

from desktop_app.core.money import Units, escrow
from desktop_app.wire import eip712
from desktop_app.wire.resources import resource

GAS = 12_000_000
"""Given to every transaction, so that nothing is estimated and a failing one is mined and shows why."""
RATE, UNITS, TIER, FEE_BPS = 360_000, 3_600_000, 3, 10
"""One GPU-hour at 36 cents."""


class Tester(Protocol):
    """What the tests use of eth-tester."""

    def take_snapshot(self) -> int: ...
    def revert_to_snapshot(self, snapshot: int) -> None: ...
    def time_travel(self, to_timestamp: int) -> None: ...


@dataclass(frozen=True)
class Person:
    """An account and its key."""

    address: str
    key: bytes

    def sign(self, message: eip712.TypedMessage) -> bytes:
        return bytes(Account.sign_typed_data(self.key, full_message=message).signature)


def person(number: int) -> Person:
    """eth-tester's accounts have the keys 1, 2, 3, …"""
    key = number.to_bytes(32, "big")
    return Person(Account.from_key(key).address, key)


DEPLOYER, RENTER, OWNER, ANNE, BOB, ATTESTOR, TREASURY, STRANGER = (person(number) for number in range(1, 9))


def compiled(name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(resource(f"contracts/compiled/{name}.json").read_text(encoding="utf-8"))
    return found


def _errors() -> dict[bytes, str]:
    """Custom errors by selector."""
    names = {}
    for contract in ("TestUSDC", "GpuRegistry", "TaskEscrow", "CashOut"):
        for entry in cast(list[dict[str, object]], compiled(contract)["abi"]):
            if entry["type"] == "error":
                kinds = ",".join(one["type"] for one in cast(list[dict[str, str]], entry["inputs"]))
                names[keccak(text=f"{entry['name']}({kinds})")[:4]] = str(entry["name"])
    return names


ERRORS = _errors()


@contextmanager
def refused(error: str) -> Iterator[None]:
    """The block must fail with this custom error and no other."""
    assert error in ERRORS.values(), f"no contract has an error {error}"
    with pytest.raises(TransactionFailed) as caught:
        yield
    reverted: bytes = ast.literal_eval(str(caught.value).removeprefix("execution reverted: "))
    assert ERRORS.get(reverted[:4], reverted.hex()) == error


class Market:
    """The deployed contracts and the actions of the people in them."""

    def __init__(self) -> None:
        self.tester: Tester = EthereumTester(PyEVMBackend())
        self.web3 = Web3(EthereumTesterProvider(self.tester))
        self.chain_id = self.web3.eth.chain_id
        self.usdc = self.deploy("TestUSDC")
        self.registry = self.deploy("GpuRegistry", ATTESTOR.address)
        self.escrow = self.deploy_escrow(FEE_BPS)
        self.cash_out = self.deploy("CashOut", self.usdc.address)
        self.mint(RENTER.address, 1_000_000_000)
        self.gpu = self.register(OWNER, "first")

    def constructor(self, name: str, *arguments: object) -> ContractConstructor:
        found = compiled(name)
        return self.web3.eth.contract(abi=found["abi"], bytecode=HexStr(str(found["bytecode"]))).constructor(*arguments)

    def deploy(self, name: str, *arguments: object) -> Contract:
        found = compiled(name)
        receipt = self.mined(self.constructor(name, *arguments).transact({"from": DEPLOYER.address, "gas": GAS}))
        return cast(Contract, self.web3.eth.contract(address=receipt["contractAddress"], abi=found["abi"]))

    def deploy_escrow(self, fee_bps: int) -> Contract:
        return self.deploy("TaskEscrow", self.usdc.address, self.registry.address, ATTESTOR.address, TREASURY.address, fee_bps)

    def deploy_code(self, runtime: str) -> str:
        """A contract with these bytes of code (hex), for wallets that answer ERC-1271 in one way."""
        size = len(runtime) // 2
        create = HexStr(f"0x60{size:02x}600c60003960{size:02x}6000f3{runtime}")
        sent = self.web3.eth.send_transaction({"from": DEPLOYER.address, "data": create, "gas": GAS})
        return str(self.mined(sent)["contractAddress"])

    def mined(self, sent: HexBytes) -> TxReceipt:
        return self.web3.eth.get_transaction_receipt(sent)

    def send(self, who: Person, call: ContractFunction) -> TxReceipt:
        """Calls first, so that a refusal shows its error, then sends."""
        call.call({"from": who.address, "gas": GAS})
        return self.mined(call.transact({"from": who.address, "gas": GAS}))

    @property
    def now(self) -> int:
        """The newest block's time."""
        return self.web3.eth.get_block("latest")["timestamp"]

    def travel(self, to: int) -> None:
        """Until the newest block's time is `to`, unix seconds."""
        self.tester.time_travel(to + 1)
        assert self.now == to

    def mint(self, to: str, amount: int) -> None:
        self.send(DEPLOYER, self.usdc.functions.mint(to, amount))

    def balance(self, who: str) -> int:
        return int(self.usdc.functions.balanceOf(who).call())

    def domain(self, contract: Contract) -> eip712.Domain:
        return eip712.Domain(self.chain_id, str(contract.address))

    def register(self, owner: Person, hardware: str, tier: int = TIER) -> int:
        digest = keccak(text=hardware)
        form = eip712.Registration(owner.address, "0x" + digest.hex(), tier, owner.address, self.now + 3600)
        proof = ATTESTOR.sign(eip712.register(self.domain(self.registry), form))
        self.send(STRANGER, self.registry.functions.register(owner.address, digest, tier, owner.address, form.deadline, proof))
        return int(self.registry.functions.idOfHardware(digest).call())

    def terms(self, salt: int = 0, **changes: object) -> eip712.Terms:
        """Terms of a job for one GPU-hour, good for a day."""
        usual = eip712.Terms(
            RENTER.address, TIER, 0, RATE, Units(UNITS), self.now + 86_400, 600, "0x" + "11" * 32, "0x" + salt.to_bytes(32, "big").hex()
        )
        return replace(usual, **changes)  # type: ignore[arg-type]

    def open(self, terms: eip712.Terms, at: Contract | None = None) -> bytes:
        """The renter approves and opens; returns the job's id."""
        at = at or self.escrow
        self.send(RENTER, self.usdc.functions.approve(at.address, escrow(terms.units, terms.rate)))
        self.send(RENTER, at.functions.open(as_tuple(terms)))
        return bytes(at.functions.jobId(as_tuple(terms)).call())

    def authorize(self, sender: Person, receiver: str, value: int, nonce: bytes, before: int | None = None) -> bytes:
        """EIP-3009, good from the start to `before` (usually for an hour)."""
        form = eip712.Authorization(sender.address, receiver, value, 0, before or self.now + 3600, "0x" + nonce.hex())
        return sender.sign(eip712.receive_with_authorization(self.domain(self.usdc), form))

    def voucher(
        self, signer: Person, job: bytes, gpu: int, units: int, at: Contract | None = None
    ) -> tuple[tuple[bytes, int, int, bytes], bytes]:
        """A signed voucher, as `redeem` takes it."""
        root = b"\x22" * 32
        form = eip712.Voucher("0x" + job.hex(), gpu, Units(units), "0x" + root.hex())
        return (job, gpu, units, root), signer.sign(eip712.voucher(self.domain(at or self.escrow), form))

    def redeem(self, signer: Person, job: bytes, units: int, gpu: int | None = None, at: Contract | None = None) -> TxReceipt:
        """A stranger brings a voucher that `signer` signed."""
        at = at or self.escrow
        return self.send(STRANGER, at.functions.redeem(*self.voucher(signer, job, self.gpu if gpu is None else gpu, units, at)))

    def check_books(self, at: Contract | None = None) -> None:
        """Every micro-dollar in the escrow is somebody's, by the events alone, and the contract agrees."""
        at = at or self.escrow
        seen = {name: at.events[name]().get_logs(from_block=0) for name in _EVENTS}
        held: dict[bytes, int] = defaultdict(int)
        owed: dict[str, int] = defaultdict(int)
        for one in seen["JobOpened"]:
            held[one["args"]["job"]] += one["args"]["escrowed"]
        for one in seen["VoucherRedeemed"]:
            held[one["args"]["job"]] -= one["args"]["gross"]
        for one in seen["JobClosed"]:
            held[one["args"]["job"]] -= one["args"]["refund"]
        for one in seen["PayeeOwed"]:
            owed[one["args"]["payee"]] += one["args"]["amount"]
        for one in seen["OwedWithdrawn"]:
            owed[one["args"]["account"]] -= one["args"]["amount"]
        fees = sum(one["args"]["fee"] for one in seen["VoucherRedeemed"]) - sum(one["args"]["amount"] for one in seen["FeesSwept"])
        for job, amount in held.items():
            assert at.functions.jobs(job).call()[1] == amount >= 0
        for account, amount in owed.items():
            assert at.functions.owed(account).call() == amount >= 0
        assert at.functions.feesAccrued().call() == fees
        assert self.balance(str(at.address)) == sum(held.values()) + sum(owed.values()) + fees


_EVENTS = ("JobOpened", "VoucherRedeemed", "PayeeOwed", "JobClosed", "OwedWithdrawn", "FeesSwept")


def as_tuple(terms: eip712.Terms) -> Sequence[object]:
    """Terms as the contract's ABI wants them."""
    return (
        to_checksum_address(terms.renter), terms.tier, terms.gpu, terms.rate, int(terms.units),
        terms.deadline, terms.window, bytes.fromhex(terms.spec_hash[2:]), bytes.fromhex(terms.salt[2:]),
    )  # fmt: skip
