"""Puts the contracts on the practice chain, once, and finds them again ever after.

A contract's address follows from its deployer and the deployer's nonce, so the four addresses are known beforehand: in
this order TestUSDC, GpuRegistry, TaskEscrow, CashOut, as the deployer's first four transactions. A run that was cut short
goes on where it stopped. The key stays with the caller, who signs. Called by the practice root.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import requests
from eth_typing import ChecksumAddress, HexStr
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from web3 import HTTPProvider, Web3
from web3.types import Nonce, TxParams

from desktop_app.core.errors import AppError
from desktop_app.wire.resources import resource

Sign: TypeAlias = Callable[[dict[str, object]], bytes]
"""Signs a transaction's fields (as `eth_account` takes them) and returns the raw bytes."""

_ANSWER_WITHIN = 30
"""Seconds for one request, and for one transaction to be mined."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the contracts are, as checksummed addresses."""

    usdc: str
    registry: str
    escrow: str
    cash_out: str


def addresses_of(deployer: str) -> Addresses:
    """Where the contracts of this deployer are, or will be."""
    return Addresses(*(_created(deployer, nonce) for nonce in range(4)))


def deploy(rpc_url: str, sign: Sign, deployer: str, attestor: str, treasury: str, fee_bps: int) -> Addresses:
    """Deploys what is missing and checks what is there. `fee_bps` is the escrow's fee in basis points.

    Raises AppError when the deployer's key was used for something else, or the contracts there are set up differently.
    """
    with requests.Session() as session:
        chain = Web3(HTTPProvider(rpc_url, request_kwargs={"timeout": _ANSWER_WITHIN}, session=session))
        return _deploy(chain, sign, deployer, attestor, treasury, fee_bps)


def _deploy(chain: Web3, sign: Sign, deployer: str, attestor: str, treasury: str, fee_bps: int) -> Addresses:
    found = addresses_of(deployer)
    plan: list[tuple[str, str, Sequence[object]]] = [
        ("TestUSDC", found.usdc, ()),
        ("GpuRegistry", found.registry, (attestor,)),
        ("TaskEscrow", found.escrow, (found.usdc, found.registry, attestor, treasury, fee_bps)),
        ("CashOut", found.cash_out, (found.usdc,)),
    ]
    sender = to_checksum_address(deployer)
    mined = chain.eth.get_transaction_count(sender)
    waiting = chain.eth.get_transaction_count(sender, "pending")
    for nonce, (name, address, arguments) in enumerate(plan):
        if nonce < mined and not chain.eth.get_code(to_checksum_address(address)):
            raise _not_ours(f"The deployer has sent {mined} transactions, and number {nonce + 1} did not make {name}.")
        if nonce >= waiting:
            _create(chain, sign, sender, nonce, name, arguments)
    _wait(chain, sender, len(plan))
    _check(chain, found, attestor, treasury, fee_bps)
    return found


def _create(chain: Web3, sign: Sign, sender: ChecksumAddress, nonce: int, name: str, arguments: Sequence[object]) -> None:
    abi, bytecode = _compiled(name)
    fees: TxParams = {"from": sender, "nonce": Nonce(nonce), "chainId": chain.eth.chain_id}
    transaction = chain.eth.contract(abi=abi, bytecode=bytecode).constructor(*arguments).build_transaction(fees)
    chain.eth.send_raw_transaction(sign({key: value for key, value in transaction.items() if key != "from"}))


def _wait(chain: Web3, sender: ChecksumAddress, count: int) -> None:
    """Until `count` transactions of the deployer are mined."""
    give_up = time.monotonic() + _ANSWER_WITHIN
    while chain.eth.get_transaction_count(sender) < count:
        if time.monotonic() > give_up:
            raise AppError("The practice chain does not mine.", "Look into its log, then start the practice network again.")
        time.sleep(0.05)


def _check(chain: Web3, found: Addresses, attestor: str, treasury: str, fee_bps: int) -> None:
    """Compares how the contracts are set up with what was asked for."""
    wanted: list[tuple[str, str, str, object]] = [
        ("GpuRegistry", found.registry, "attestor", attestor),
        ("TaskEscrow", found.escrow, "usdc", found.usdc),
        ("TaskEscrow", found.escrow, "registry", found.registry),
        ("TaskEscrow", found.escrow, "attestor", attestor),
        ("TaskEscrow", found.escrow, "treasury", treasury),
        ("TaskEscrow", found.escrow, "feeBps", fee_bps),
        ("CashOut", found.cash_out, "usdc", found.usdc),
    ]
    for address in (found.usdc, found.registry, found.escrow, found.cash_out):
        if not chain.eth.get_code(to_checksum_address(address)):
            raise _not_ours(f"There is no contract at {address}.")
    for name, address, question, answer in wanted:
        contract = chain.eth.contract(address=to_checksum_address(address), abi=_compiled(name)[0])
        said = contract.functions[question]().call()
        if str(said).lower() != str(answer).lower():
            raise _not_ours(f"{name}.{question} is {said}, not {answer}.")


def _created(deployer: str, nonce: int) -> ChecksumAddress:
    """The address of what `deployer` creates with a nonce below 128: the last 20 bytes of keccak(rlp([deployer, nonce]))."""
    sender = bytes.fromhex(deployer.removeprefix("0x"))
    encoded = b"\xd6\x94" + sender + (b"\x80" if nonce == 0 else bytes([nonce]))
    return to_checksum_address(keccak(encoded)[12:])


def _compiled(name: str) -> tuple[list[dict[str, object]], HexStr]:
    found = json.loads(resource(f"contracts/compiled/{name}.json").read_text(encoding="utf-8"))
    return found["abi"], HexStr(found["bytecode"])


def _not_ours(what: str) -> AppError:
    return AppError(f"The practice contracts do not match. {what}", "Start a new practice profile, or remove the old practice chain.")
