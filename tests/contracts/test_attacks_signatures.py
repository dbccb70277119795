"""Signatures that are bent, cut, stretched or answered for by a hostile contract wallet. Each test says first what was wanted."""

from collections.abc import Callable
from enum import IntEnum
from pathlib import Path

import pytest
from web3.contract import Contract
from web3.contract.contract import ContractFunction

from desktop_app.core import money
from desktop_app.core.money import Units
from desktop_app.wire import eip712
from tests.contracts.market import FEE_BPS, RATE, ROOT, WINDOW, Market, as_form, as_tuple
from tests.contracts.people import ANNE, ATTESTOR, OWNER, RENTER, STRANGER
from tests.contracts.refusals import refused
from tests.contracts.solidity.sources import deploy_here

UNITS = 100_000
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class Mood(IntEnum):
    """`HostileWallet.Mood`."""

    YES = 0
    NO = 1
    REVERTS = 2
    BURNS = 3
    GARBAGE = 4
    SHORT = 5
    BOMB = 6
    REENTERS = 7


def _other_half(good: bytes) -> bytes:
    s = ORDER - int.from_bytes(good[32:64], "big")
    return good[:32] + s.to_bytes(32, "big") + bytes([55 - good[64]])


def _compact(good: bytes) -> bytes:
    """EIP-2098: the parity in the top bit of s."""
    return good[:32] + bytes([good[32] | (good[64] - 27) << 7]) + good[33:64]


BENT: dict[str, Callable[[bytes], bytes]] = {
    "the other s": _other_half,
    "compact, 64 bytes": _compact,
    "empty": lambda good: b"",
    "one byte short": lambda good: good[:64],
    "one byte long": lambda good: good + b"\0",
    "twice": lambda good: good + good,
    "ten thousand bytes": lambda good: good + bytes(10_000),
    "v of 0 or 1": lambda good: good[:64] + bytes([good[64] - 27]),
    "v turned": lambda good: good[:64] + bytes([55 - good[64]]),
    "v of 29": lambda good: good[:64] + bytes([29]),
    "zeros": lambda good: bytes(65),
    "r of the order": lambda good: ORDER.to_bytes(32, "big") + good[32:],
    "s of nothing": lambda good: good[:32] + bytes(32) + good[64:],
}


def test_a_bent_signature_is_none(market: Market) -> None:
    """Wanted: a second signature out of a good one, so that what was refused or used may be brought again; or a reader that
    takes what is too short, too long or zero for a yes."""
    do, terms = market.escrow.functions, market.claimable()
    job = market.open(terms)
    row = market.row(job, UNITS)
    form, domain = as_form(row), market.domain(market.escrow)
    market.mint(OWNER.address, 10)
    before = market.now + 60
    nonce = bytes(market.cash_out.functions.nonceOf(ANNE.address, 10, 0, ROOT).call())
    asked: list[tuple[str, bytes, Callable[[bytes], ContractFunction]]] = [
        ("VoucherNotSigned", RENTER.sign(eip712.voucher(domain, form)), lambda said: do.redeem(row, said)),
        ("NotAttested", ATTESTOR.sign(eip712.voucher(domain, form)), lambda said: do.redeemAttested(row, ATTESTOR.address, said)),
        ("ClaimNotSigned", OWNER.sign(eip712.claim(domain, form)), lambda said: do.claim(as_tuple(terms), row, ROOT, said)),
        (
            "ERC3009InvalidSignature",
            market.authorize(OWNER, str(market.cash_out.address), 10, nonce, before),
            lambda said: market.cash_out.functions.cashOut(OWNER.address, ANNE.address, 10, 0, ROOT, 0, before, said),
        ),
    ]
    for error, good, ask in asked:
        for name, bend in BENT.items():
            bent = bend(good)
            assert bent != good, name
            with refused(error):
                market.send(STRANGER, ask(bent))
    assert (market.paid(job), market.balance(OWNER)) == (0, 10)


def test_nobody_signs_for_the_zero_address(market: Market) -> None:
    """Wanted: a signature that recovers to nobody, for a job, an attestor or a claim of nobody."""
    nobody = "0x" + "00" * 20
    row = market.row(market.open(market.terms()), UNITS)
    for said in (b"", bytes(65), b"\xff" * 65):
        with refused("NotAttested"):
            market.send(STRANGER, market.escrow.functions.redeemAttested(row, nobody, said))
        with refused("ERC3009InvalidSignature"):
            terms = as_tuple(market.terms(1, renter=nobody))
            market.send(STRANGER, market.escrow.functions.openWithAuthorization(terms, 0, market.now + 60, said))
    for precompile in range(1, 10):
        with refused("NotAttested"):
            market.send(STRANGER, market.escrow.functions.redeemAttested(row, f"0x{precompile:040x}", b""))


@pytest.fixture
def wallet(market: Market, modules: Path) -> Contract:
    """A contract wallet with a hundred dollars."""
    made = deploy_here(market, modules, "HostileWallet")
    market.mint(str(made.address), 100_000_000)
    return made


def become(market: Market, wallet: Contract, mood: Mood, target: str = "0x" + "00" * 20, data: bytes = b"") -> None:
    market.send(STRANGER, wallet.functions.become(mood, target, data))


def job_of(market: Market, wallet: Contract, salt: int = 0) -> bytes:
    terms = market.terms(salt, renter=str(wallet.address))
    market.send(STRANGER, market.escrow.functions.openWithAuthorization(as_tuple(terms), 0, market.now + 60, b"any"))
    return market.job_id(terms)


@pytest.mark.parametrize("mood", [mood for mood in Mood if mood != Mood.YES], ids=lambda mood: mood.name)
def test_a_wallet_that_does_not_say_yes_pays_nothing_and_harms_nobody(market: Market, wallet: Contract, mood: Mood) -> None:
    """Wanted: to be believed without a yes, to burn the keeper's whole transaction, to be called back in the middle."""
    job, other = job_of(market, wallet), market.open(market.terms(9))
    again = market.escrow.encode_abi("close", args=[job])
    become(market, wallet, mood, str(market.escrow.address), bytes.fromhex(again[2:]))
    with refused("VoucherNotSigned"):
        market.send(STRANGER, market.escrow.functions.redeem(market.row(job, UNITS), b"any"))
    with refused("ERC3009InvalidSignature"):
        terms = as_tuple(market.terms(8, renter=str(wallet.address)))
        market.send(STRANGER, market.escrow.functions.openWithAuthorization(terms, 0, market.now + 60, b"any"))
    market.batch([market.row(job, UNITS), market.row(other, UNITS)])  # an attestor's word needs nothing of the wallet
    assert market.balance(OWNER) == 2 * money.net(UNITS, RATE, FEE_BPS)


def test_a_renter_that_takes_its_signature_back_loses_to_the_attestor_only(market: Market, wallet: Contract) -> None:
    """Wanted: to sign vouchers, have the work, and then say no. A key cannot take a signature back, a contract can: this is
    what an attestor, and not the renter's voucher, protects from."""
    job = job_of(market, wallet)
    voucher = market.escrow.functions.redeem(market.row(job, UNITS), b"any")
    voucher.call({"from": STRANGER.address})
    become(market, wallet, Mood.NO)
    with refused("VoucherNotSigned"):
        market.send(STRANGER, voucher)
    market.redeem_attested(job, UNITS)
    assert market.balance(OWNER) == money.net(UNITS, RATE, FEE_BPS)


def test_a_wallet_that_says_yes_to_everything_spends_its_own_only(market: Market, wallet: Contract) -> None:
    """Wanted: with a wallet that signs whatever is asked, to move somebody else's money, be an attestor, or claim for others."""
    terms = market.claimable(9)
    job, other = job_of(market, wallet), market.open(terms)
    address, do = str(wallet.address), market.escrow.functions
    row = market.row(other, UNITS)
    with refused("VoucherNotSigned"):
        market.send(STRANGER, do.redeem(row, b"any"))
    with refused("NotAttestor"):
        market.send(STRANGER, do.redeemAttested(row, address, b"any"))
    with refused("NotAttestor"):
        market.send(STRANGER, do.settleBatchSigned([row], address, b"any"))
    with refused("ClaimNotSigned"):
        market.send(STRANGER, do.claim(as_tuple(terms), row, ROOT, b"any"))
    market.send(STRANGER, do.redeem(market.row(job, UNITS), b"any"))
    assert market.balance(OWNER) == money.net(UNITS, RATE, FEE_BPS)
    assert market.job(other).used == 0


def test_a_holder_that_burns_gas_keeps_only_its_own_claims_away(market: Market, wallet: Contract) -> None:
    """Wanted: with a GPU in a wallet that burns all gas, to make others' payouts impossible."""
    market.sell(OWNER, ANNE)
    gpu = market.register(OWNER, "burnt")
    market.send(OWNER, market.registry.functions.transferFrom(OWNER.address, wallet.address, gpu))
    terms = market.terms(gpu=gpu, window=WINDOW)
    job, other = market.open(terms), market.open(market.terms(1))
    become(market, wallet, Mood.BURNS)
    row = market.row(job, UNITS, market.account(gpu))
    with refused("ClaimNotSigned"):
        market.send(STRANGER, market.escrow.functions.claim(as_tuple(terms), row, ROOT, b"any"))
    market.batch([row, market.row(other, UNITS, market.account())])
    paid = money.net(UNITS, RATE, FEE_BPS)
    assert (market.balance(str(wallet.address)) - 100_000_000, market.balance(ANNE)) == (paid, paid)


def test_a_wallet_cannot_use_the_question_to_act(market: Market, wallet: Contract) -> None:
    """Wanted: to redeem a second time from inside the question whether the first is signed."""
    job = job_of(market, wallet)
    row = market.row(job, UNITS)
    inner = market.escrow.encode_abi("redeemAttested", args=[row, ATTESTOR.address, ATTESTOR.sign(
        eip712.voucher(market.domain(market.escrow), eip712.Voucher("0x" + job.hex(), market.gpu, Units(UNITS), "0x" + ROOT.hex()))
    )])  # fmt: skip
    become(market, wallet, Mood.REENTERS, str(market.escrow.address), bytes.fromhex(inner[2:]))
    with refused("VoucherNotSigned"):
        market.send(STRANGER, market.escrow.functions.redeem(row, b"any"))
    assert market.paid(job) == 0
