"""A whole market on either chain: the contracts deployed, and the words the tests speak.

Signatures are made with `wire.eip712`, so that these tests hold it to the contracts. Used through the fixture `market`, and
directly, `Market(ground)`, by benchmarks and state machines.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, cast

from eth_typing import ChecksumAddress, HexStr
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from web3.contract import Contract
from web3.contract.contract import ContractConstructor, ContractFunction
from web3.types import TxParams, TxReceipt, Wei

from desktop_app.core.money import Units, escrow
from desktop_app.wire import eip712
from tests.contracts.books import Books
from tests.contracts.ground import TX_GAS, Ground
from tests.contracts.people import ARBITER, ATTESTOR, DEPLOYER, GUARDIAN, OWNER, RENTER, STRANGER, TREASURY, Person
from tests.contracts.refusals import Refused, compiled

RATE, UNITS, TIER, FEE_BPS = 360_000, 3_600_000, 3, 10
"""One GPU-hour at 36 cents."""
OTHER_TIER = 4
WINDOW = 600
"""Seconds a renter has to object, where a test wants claims."""
DAY = 86_400
ALLOWANCE = 10_000_000_000
"""What an attestor may have paid out within a day, micro-dollars."""
MOST_RATE = 2**48 - 1
ROOT = b"\x22" * 32

VoucherTuple = tuple[bytes, int, int, bytes]


class Job(NamedTuple):
    """`ITaskEscrow.Job`, field for field."""

    renter: str
    rate: int
    gpu: int
    tier: int
    held: int
    fees: int
    units: int
    used: int
    deadline: int
    fee_bps: int


class Market:
    """The deployed contracts and the actions of the people in them. `DEPLOYER` owns the policy until a test hands it on."""

    def __init__(self, ground: Ground, fee_bps: int = FEE_BPS, allowance: int = ALLOWANCE) -> None:
        self.ground, self.web3 = ground, ground.web3
        self.gifts = 0
        """Micro-dollars that a test sent to the escrow without a reason; they stay there for ever, beside the books."""
        self.chain_id = self.web3.eth.chain_id
        self.usdc = self.deploy("TestUSDC", DEPLOYER.address)
        people = (DEPLOYER, TREASURY, ARBITER, GUARDIAN, ATTESTOR)
        self.policy = self.deploy("MarketPolicy", (*(one.address for one in people), fee_bps, allowance))
        self.registry = self.deploy("GpuRegistry", self.policy.address)
        self.escrow = self.deploy("TaskEscrow", self.usdc.address, self.registry.address)
        self.cash_out = self.deploy("CashOut", self.usdc.address)
        for tier in (TIER, OTHER_TIER):
            self.send(DEPLOYER, self.policy.functions.setBounds(tier, 1, MOST_RATE))
        self.mint(RENTER.address, 1_000_000_000)
        self.gpu = self.register(OWNER, "first")

    # the chain

    def constructor(self, name: str, *arguments: object) -> ContractConstructor:
        found = compiled(name)
        return self.web3.eth.contract(abi=found["abi"], bytecode=HexStr(str(found["bytecode"]))).constructor(*arguments)

    def deploy(self, name: str, *arguments: object) -> Contract:
        receipt = self._transact(self.constructor(name, *arguments).build_transaction(self._fields(DEPLOYER, TX_GAS)))
        return self.at(name, str(receipt["contractAddress"]))

    def at(self, name: str, address: str) -> Contract:
        return self.web3.eth.contract(address=cast(ChecksumAddress, address), abi=compiled(name)["abi"])

    def deploy_code(self, runtime: str) -> str:
        """A contract with these bytes of code (hex), for wallets that answer ERC-1271 in one way."""
        size = len(runtime) // 2
        create = HexStr(f"0x61{size:04x}600e60003961{size:04x}6000f3{runtime}")
        receipt = self._transact({**self._fields(DEPLOYER, TX_GAS), "data": create})
        return str(receipt["contractAddress"])

    def send(self, who: Person, call: ContractFunction, gas: int = TX_GAS) -> TxReceipt:
        """In a block of its own, at second `now`; raises `Refused` when it reverts."""
        return self._transact(call.build_transaction(self._fields(who, gas)))

    def _transact(self, transaction: TxParams) -> TxReceipt:
        receipt = self.web3.eth.get_transaction_receipt(self.web3.eth.send_transaction(transaction))
        if receipt["status"] == 1:
            return receipt
        data = self.ground.why(transaction)
        assert data is not None, "a transaction failed that succeeds on second thoughts: out of gas?"
        raise Refused(data)

    def _fields(self, who: Person, gas: int) -> TxParams:
        """All that a transaction needs besides what it does, so that nothing is asked or estimated."""
        fees: TxParams = {"maxFeePerGas": Wei(10**11), "maxPriorityFeePerGas": Wei(0), "chainId": self.chain_id}
        return {"from": cast(ChecksumAddress, who.address), "gas": gas, "value": Wei(0), **fees}

    @property
    def now(self) -> int:
        """The unix second of the next transaction. Views still see the newest block's, one second earlier."""
        return self.web3.eth.get_block("latest")["timestamp"] + 1

    def travel(self, to: int) -> None:
        """The next transaction happens at unix second `to`, which is not in the past."""
        if to > self.now:
            self.ground.mine_at(to - 1)
        assert self.now == to

    def snapshot(self) -> str:
        return self.ground.snapshot()

    def revert(self, snapshot: str) -> None:
        """Back to a snapshot, which is used up."""
        self.ground.revert(snapshot)

    def check_books(self) -> None:
        """Everything the contracts know follows from their events, and every micro-dollar is somebody's."""
        Books(self.ground, self.usdc, self.registry, self.escrow).check(self.gifts)

    # money

    def mint(self, to: str, amount: int) -> None:
        self.send(DEPLOYER, self.usdc.functions.mint(to, amount))

    def balance(self, who: Person | str) -> int:
        return int(self.usdc.functions.balanceOf(who.address if isinstance(who, Person) else who).call())

    def owed(self, who: Person) -> int:
        return int(self.escrow.functions.owed(who.address).call())

    def freeze(self, who: Person, frozen: bool = True) -> None:
        change = self.usdc.functions.blacklist if frozen else self.usdc.functions.unBlacklist
        self.send(DEPLOYER, change(who.address))

    def authorize(self, sender: Person, receiver: str, value: int, nonce: bytes, before: int | None = None, after: int = 0) -> bytes:
        """EIP-3009, good after `after` (usually at once) and before `before` (usually for an hour)."""
        form = eip712.Authorization(sender.address, receiver, value, after, before or self.now + 3600, _hex(nonce))
        return sender.sign(eip712.receive_with_authorization(self.domain(self.usdc), form))

    def domain(self, contract: Contract) -> eip712.Domain:
        return eip712.Domain(self.chain_id, str(contract.address))

    # GPUs

    def register(self, owner: Person, hardware: str, tier: int = TIER, operator: Person | None = None) -> int:
        """A new GPU; `hardware` is any word. Its operator is usually its owner."""
        operator = operator or owner
        digest = keccak(text=hardware)
        form = eip712.Registration(owner.address, _hex(digest), tier, operator.address, self.now + 3600)
        proof = ATTESTOR.sign(eip712.register(self.domain(self.registry), form))
        arguments = (owner.address, digest, tier, operator.address, form.deadline, ATTESTOR.address, proof)
        self.send(STRANGER, self.registry.functions.register(*arguments))
        return int(self.registry.functions.machines(digest).call()[0])

    def account(self, gpu: int | None = None) -> int:
        """What work done now is paid to."""
        return int(self.registry.functions.accountOf(self.gpu if gpu is None else gpu).call())

    def grant(self, owner: Person, to: Person, bps: int, gpu: int | None = None) -> None:
        self.send(owner, self.registry.functions.grantShare(self.gpu if gpu is None else gpu, to.address, bps))

    def sell(self, seller: Person, buyer: Person, gpu: int | None = None) -> None:
        self.send(seller, self.registry.functions.transferFrom(seller.address, buyer.address, self.gpu if gpu is None else gpu))

    def set_tier(self, tier: int, gpu: int | None = None) -> None:
        """On the attestor's signature."""
        gpu, deadline = self.gpu if gpu is None else gpu, self.now + 3600
        proof = ATTESTOR.sign(eip712.set_tier(self.domain(self.registry), self.account(gpu), tier, deadline))
        self.send(STRANGER, self.registry.functions.setTier(gpu, tier, deadline, ATTESTOR.address, proof))

    # jobs

    def terms(self, salt: int = 0, **changes: object) -> eip712.Terms:
        """Terms of a job for one GPU-hour, good for a day, any GPU of the tier, no claims."""
        number = "0x" + salt.to_bytes(32, "big").hex()
        usual = eip712.Terms(RENTER.address, TIER, 0, RATE, Units(UNITS), self.now + DAY, 0, "0x" + "11" * 32, number)
        return replace(usual, **changes)  # type: ignore[arg-type]

    def claimable(self, salt: int = 0, **changes: object) -> eip712.Terms:
        """Terms pinned to the first GPU, with a window for claims."""
        return self.terms(salt, **{"gpu": self.gpu, "window": WINDOW, **changes})

    def job_id(self, terms: eip712.Terms) -> bytes:
        return bytes(self.escrow.functions.jobId(as_tuple(terms)).call())

    def job(self, job: bytes) -> Job:
        return Job(*self.escrow.functions.jobs(job).call())

    def paid(self, job: bytes, account: int | None = None) -> int:
        """Units paid to the account (the first GPU's usually)."""
        return int(self.escrow.functions.unitsPaid(job, self.gpu if account is None else account).call())

    def open(self, terms: eip712.Terms, renter: Person = RENTER) -> bytes:
        """The renter approves and opens; returns the job's id."""
        self.send(renter, self.usdc.functions.approve(self.escrow.address, escrow(terms.units, terms.rate)))
        self.send(renter, self.escrow.functions.open(as_tuple(terms)))
        return self.job_id(terms)

    def open_gasless(self, terms: eip712.Terms, renter: Person = RENTER) -> bytes:
        """A stranger brings the renter's signature."""
        job, before = self.job_id(terms), self.now + 3600
        signature = self.authorize(renter, str(self.escrow.address), escrow(terms.units, terms.rate), job, before)
        self.send(STRANGER, self.escrow.functions.openWithAuthorization(as_tuple(terms), 0, before, signature))
        return job

    def top_up_price(self, job: bytes, units: int) -> int:
        held = self.job(job)
        return escrow(held.units + units, held.rate) - escrow(held.units, held.rate)

    def top_up(self, job: bytes, units: int, renter: Person = RENTER) -> TxReceipt:
        self.send(renter, self.usdc.functions.approve(self.escrow.address, self.top_up_price(job, units)))
        return self.send(renter, self.escrow.functions.topUp(job, units))

    def top_up_gasless(self, job: bytes, units: int, salt: int = 0, renter: Person = RENTER) -> TxReceipt:
        number, before = salt.to_bytes(32, "big"), self.now + 3600
        nonce = bytes(self.escrow.functions.topUpNonce(job, units, number).call())
        signature = self.authorize(renter, str(self.escrow.address), self.top_up_price(job, units), nonce, before)
        return self.send(STRANGER, self.escrow.functions.topUpWithAuthorization(job, units, number, 0, before, signature))

    def cancel(self, job: bytes, renter: Person = RENTER) -> TxReceipt:
        return self.send(renter, self.escrow.functions.cancelUnstarted(job))

    def close(self, job: bytes) -> TxReceipt:
        return self.send(STRANGER, self.escrow.functions.close(job))

    def sweep(self, *jobs: bytes) -> TxReceipt:
        return self.send(STRANGER, self.escrow.functions.sweepFees(list(jobs)))

    def withdraw(self, who: Person) -> TxReceipt:
        return self.send(STRANGER, self.escrow.functions.withdrawOwed(who.address))

    # work

    def row(self, job: bytes, units: int, account: int | None = None, root: bytes = ROOT) -> VoucherTuple:
        """A voucher without a signature, for the first GPU usually."""
        return (job, self.gpu if account is None else account, units, root)

    def voucher(self, signer: Person, job: bytes, units: int, account: int | None = None) -> tuple[VoucherTuple, bytes]:
        """A signed voucher, as `redeem` takes it."""
        row = self.row(job, units, account)
        return row, signer.sign(eip712.voucher(self.domain(self.escrow), as_form(row)))

    def redeem(self, signer: Person, job: bytes, units: int, account: int | None = None) -> TxReceipt:
        """A stranger brings a voucher that `signer` signed; usually the renter."""
        return self.send(STRANGER, self.escrow.functions.redeem(*self.voucher(signer, job, units, account)))

    def redeem_attested(self, job: bytes, units: int, account: int | None = None, attestor: Person = ATTESTOR) -> TxReceipt:
        row, signature = self.voucher(attestor, job, units, account)
        return self.send(STRANGER, self.escrow.functions.redeemAttested(row, attestor.address, signature))

    def batch(self, rows: Sequence[VoucherTuple], attestor: Person = ATTESTOR) -> TxReceipt:
        """A stranger brings many vouchers on one signature of the attestor."""
        packed = keccak(b"".join(job + gpu.to_bytes(32, "big") + units.to_bytes(32, "big") + root for job, gpu, units, root in rows))
        signature = attestor.sign(eip712.batch(self.domain(self.escrow), len(rows), _hex(packed)))
        return self.send(STRANGER, self.escrow.functions.settleBatchSigned(rows, attestor.address, signature))

    # claims

    def claim(self, signer: Person, terms: eip712.Terms, units: int, account: int | None = None, hardware: str = "first") -> TxReceipt:
        """A stranger brings the claim that the GPU's owner or operator signed."""
        row = self.row(self.job_id(terms), units, account)
        signature = signer.sign(eip712.claim(self.domain(self.escrow), as_form(row)))
        return self.send(STRANGER, self.escrow.functions.claim(as_tuple(terms), row, keccak(text=hardware), signature))

    def challenge(self, job: bytes, renter: Person = RENTER) -> TxReceipt:
        """A stranger brings the renter's objection to whatever is claimed now."""
        gpu, units, _, _ = self.escrow.functions.claims(job).call()
        signature = renter.sign(eip712.challenge(self.domain(self.escrow), _hex(job), gpu, Units(units)))
        return self.send(STRANGER, self.escrow.functions.challenge(job, signature))

    def resolve(self, job: bytes, units: int, arbiter: Person = ARBITER) -> TxReceipt:
        return self.send(arbiter, self.escrow.functions.resolve(job, units))

    def finalize(self, job: bytes) -> TxReceipt:
        return self.send(STRANGER, self.escrow.functions.finalize(job))


def as_tuple(terms: eip712.Terms) -> Sequence[object]:
    """Terms as the contract's ABI wants them."""
    return (
        to_checksum_address(terms.renter), terms.tier, terms.gpu, terms.rate, int(terms.units),
        terms.deadline, terms.window, bytes.fromhex(terms.spec_hash[2:]), bytes.fromhex(terms.salt[2:]),
    )  # fmt: skip


def as_form(row: VoucherTuple) -> eip712.Voucher:
    job, gpu, units, root = row
    return eip712.Voucher(_hex(job), gpu, Units(units), _hex(root))


def _hex(value: bytes) -> str:
    return "0x" + value.hex()
