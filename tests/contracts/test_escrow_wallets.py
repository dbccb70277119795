"""Contract wallets (ERC-1271) in every part that signs: renter, holder, operator, and k of n keys as one attestor."""

from pathlib import Path

import pytest
from eth_utils.crypto import keccak
from web3.contract import Contract

from desktop_app.core import money
from desktop_app.wire import eip712
from tests.contracts.market import FEE_BPS, RATE, WINDOW, Market, as_form, as_tuple
from tests.contracts.people import ANNE, BOB, DEPLOYER, OWNER, STRANGER, person
from tests.contracts.refusals import refused
from tests.contracts.solidity.sources import deploy_here

YES = "631626ba7e60e01b60005260206000f3"
NO = "60206000f3"
REVERTS = "60006000fd"
SHORT = "631626ba7e60e01b60005260046000f3"
NEARLY = "631626ba7e60e01b60010160005260206000f3"
SIGNERS = sorted((person(number) for number in (31, 32, 33)), key=lambda one: int(one.address, 16))


@pytest.mark.parametrize("code", [NO, REVERTS, SHORT, NEARLY], ids=["no", "reverts", "short", "nearly"])
def test_a_wallet_that_does_not_say_yes_signs_nothing(market: Market, code: str) -> None:
    wallet = market.deploy_code(code)
    market.mint(wallet, 10**6)
    job = market.open(market.terms())
    row = market.row(job, 1_000)
    with refused("ERC3009InvalidSignature"):
        terms = as_tuple(market.terms(renter=wallet))
        market.send(STRANGER, market.escrow.functions.openWithAuthorization(terms, 0, market.now + 60, b"any"))
    with refused("NotAttested", wallet):
        market.send(STRANGER, market.escrow.functions.redeemAttested(row, wallet, b"any"))
    with refused("NotAttested", wallet):
        market.send(STRANGER, market.escrow.functions.settleBatchSigned([row], wallet, b"any"))


def test_a_wallet_rents(market: Market) -> None:
    wallet = market.deploy_code(YES)
    market.mint(wallet, 10**6)
    terms = market.terms(renter=wallet, gpu=market.gpu, window=WINDOW)
    market.send(STRANGER, market.escrow.functions.openWithAuthorization(as_tuple(terms), 0, market.now + 60, b"any"))
    job = market.job_id(terms)
    market.send(STRANGER, market.escrow.functions.redeem(market.row(job, 1_000), b""))
    assert market.paid(job) == 1_000
    market.send(STRANGER, market.escrow.functions.topUpWithAuthorization(job, 1_000, b"\0" * 32, 0, market.now + 60, b""))
    market.claim(OWNER, terms, 2_000)
    market.send(STRANGER, market.escrow.functions.challenge(job, b"any"))
    market.resolve(job, 2_000)
    assert market.balance(OWNER) == money.net(2_000, RATE, FEE_BPS)


def test_a_wallet_holds_a_gpu_and_claims(market: Market) -> None:
    wallet = market.deploy_code(YES)
    market.send(OWNER, market.registry.functions.transferFrom(OWNER.address, wallet, market.gpu))
    terms, account = market.terms(gpu=market.gpu, window=WINDOW), market.account()
    job = market.open(terms)
    row = market.row(job, 1_000, account)
    market.send(STRANGER, market.escrow.functions.claim(as_tuple(terms), row, b"\0" * 32, b"any"))
    market.travel(market.now + WINDOW)
    market.finalize(job)
    assert market.balance(wallet) == money.net(1_000, RATE, FEE_BPS)


@pytest.fixture
def panel(market: Market, modules: Path) -> Contract:
    """Two of three keys, trusted as an attestor."""
    found = deploy_here(market, modules, "KOfN", 2, [one.address for one in SIGNERS])
    market.send(DEPLOYER, market.policy.functions.setAttestor(found.address, True))
    return found


def test_two_of_three_attest_and_one_does_not(market: Market, panel: Contract) -> None:
    job = market.open(market.terms())
    row = market.row(job, 1_000)
    one, two, three = (who.sign(eip712.voucher(market.domain(market.escrow), as_form(row))) for who in SIGNERS)
    stranger = ANNE.sign(eip712.voucher(market.domain(market.escrow), as_form(row)))
    redeem = market.escrow.functions.redeemAttested
    for few in (b"", one, one + one, two + one, one + stranger, stranger + three, one + two[:64]):
        with refused("NotAttested", panel.address):
            market.send(STRANGER, redeem(row, panel.address, few))
    market.send(STRANGER, redeem(row, panel.address, one + three))
    assert market.balance(OWNER) == money.net(1_000, RATE, FEE_BPS)


def test_two_of_three_settle_a_batch_and_have_their_own_allowance(market: Market, panel: Contract) -> None:
    rows = [market.row(market.open(market.terms(salt)), 100_000) for salt in range(2)]
    market.send(DEPLOYER, market.policy.functions.setAllowance(money.gross(100_000, RATE)))
    packed = keccak(b"".join(job + gpu.to_bytes(32, "big") + units.to_bytes(32, "big") + root for job, gpu, units, root in rows))
    form = eip712.batch(market.domain(market.escrow), 2, "0x" + packed.hex())
    settle = market.escrow.functions.settleBatchSigned
    with refused("NotAttested", panel.address):
        market.send(STRANGER, settle(rows, panel.address, SIGNERS[0].sign(form)))
    market.send(STRANGER, settle(rows, panel.address, SIGNERS[1].sign(form) + SIGNERS[2].sign(form)))
    assert [market.paid(row[0]) for row in rows] == [100_000, 0]
    market.redeem_attested(rows[1][0], 100_000)


def test_two_of_three_let_a_gpu_in(market: Market, panel: Contract) -> None:
    digest = keccak(text="new")
    said = eip712.Registration(ANNE.address, "0x" + digest.hex(), 3, BOB.address, market.now + 60)
    form = eip712.register(market.domain(market.registry), said)
    register = market.registry.functions.register
    arguments = (ANNE.address, digest, 3, BOB.address, said.deadline, panel.address)
    with refused("NotAttested", panel.address):
        market.send(STRANGER, register(*arguments, SIGNERS[0].sign(form)))
    market.send(STRANGER, register(*arguments, SIGNERS[0].sign(form) + SIGNERS[1].sign(form)))
    assert market.registry.functions.ownerOf(market.gpu + 1).call() == ANNE.address
