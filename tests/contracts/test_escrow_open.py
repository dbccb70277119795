"""Opening a job: with an allowance, and gasless, where one signature both pays and accepts the terms."""

from dataclasses import replace

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from desktop_app.core.money import escrow
from tests.contracts.market import ANNE, RATE, RENTER, STRANGER, TIER, UNITS, Market, as_tuple, refused

TERMS_TYPE = "(address,uint8,uint64,uint64,uint64,uint64,uint32,bytes32,bytes32)"


def test_the_id_is_the_hash_of_chain_contract_and_terms(market: Market) -> None:
    terms = market.terms()
    expected = keccak(encode(["uint256", "address", TERMS_TYPE], [market.chain_id, str(market.escrow.address), as_tuple(terms)]))
    assert market.open(terms) == expected


def test_open_moves_the_escrow_and_keeps_the_terms(market: Market) -> None:
    before = market.balance(RENTER.address)
    terms = market.terms(gpu=market.gpu)
    job = market.open(terms)
    assert before - market.balance(RENTER.address) == escrow(UNITS, RATE) == market.balance(str(market.escrow.address))
    kept = market.escrow.functions.jobs(job).call()
    assert kept == (RENTER.address, escrow(UNITS, RATE), 10, market.gpu, RATE, UNITS, 0, terms.deadline, TIER)


def test_only_the_renter_opens_from_an_allowance(market: Market) -> None:
    terms = market.terms()
    market.send(RENTER, market.usdc.functions.approve(market.escrow.address, 10**9))
    with refused("NotRenter"):
        market.send(STRANGER, market.escrow.functions.open(as_tuple(terms)))


def test_open_gasless_by_anyone_with_the_id_as_nonce(market: Market) -> None:
    terms = market.terms()
    job = bytes(market.escrow.functions.jobId(as_tuple(terms)).call())
    before = market.now + 3600
    signature = market.authorize(RENTER, str(market.escrow.address), escrow(UNITS, RATE), job, before)
    opened = market.escrow.functions.openWithAuthorization(as_tuple(terms), 0, before, signature)
    market.send(STRANGER, opened)
    assert market.usdc.functions.authorizationState(RENTER.address, job).call()
    assert market.escrow.functions.jobs(job).call()[0] == RENTER.address
    with refused("JobExists"):
        market.send(STRANGER, opened)


@pytest.mark.parametrize("change", [{"rate": RATE - 1}, {"units": UNITS + 1}, {"tier": 2}, {"gpu": 1}, {"renter": ANNE.address}])
def test_tampered_terms_do_not_open_gasless(market: Market, change: dict[str, object]) -> None:
    terms = market.terms()
    job = bytes(market.escrow.functions.jobId(as_tuple(terms)).call())
    before = market.now + 3600
    signature = market.authorize(RENTER, str(market.escrow.address), escrow(UNITS, RATE), job, before)
    tampered = replace(terms, **change)  # type: ignore[arg-type]
    with refused("ERC3009InvalidSignature"):
        market.send(STRANGER, market.escrow.functions.openWithAuthorization(as_tuple(tampered), 0, before, signature))


def test_an_authorisation_has_its_time(market: Market) -> None:
    terms = market.terms()
    job = bytes(market.escrow.functions.jobId(as_tuple(terms)).call())
    before = market.now + 60
    signature = market.authorize(RENTER, str(market.escrow.address), escrow(UNITS, RATE), job, before)
    market.travel(before)
    with refused("ERC3009InvalidAuthorizationTime"):
        market.send(STRANGER, market.escrow.functions.openWithAuthorization(as_tuple(terms), 0, before, signature))


def test_the_renter_pays_for_nothing_by_hand_what_it_paid_by_signature(market: Market) -> None:
    """An authorisation sent straight to the token cannot be used: only its receiver, the escrow, may bring it."""
    terms = market.terms()
    job = bytes(market.escrow.functions.jobId(as_tuple(terms)).call())
    amount, before, to = escrow(UNITS, RATE), market.now + 3600, str(market.escrow.address)
    signature = market.authorize(RENTER, to, amount, job, before)
    take = market.usdc.get_function_by_signature("receiveWithAuthorization(address,address,uint256,uint256,uint256,bytes32,bytes)")
    with refused("ERC20InvalidReceiver"):
        market.send(STRANGER, take(RENTER.address, to, amount, 0, before, job, signature))


def test_a_job_is_opened_once_even_after_it_was_closed(market: Market) -> None:
    terms = market.terms()
    job = market.open(terms)
    with refused("JobExists"):
        market.open(terms)
    market.redeem(RENTER, job, UNITS)
    market.send(STRANGER, market.escrow.functions.close(job))
    with refused("JobExists"):
        market.open(replace(terms))


@pytest.mark.parametrize(
    "change",
    [{"units": 0}, {"rate": 0}, {"units": 2**48}, {"rate": 2**48}, {"deadline": 1}, {"deadline": 2**40}],
    ids=str,
)
def test_terms_out_of_range_are_refused(market: Market, change: dict[str, int]) -> None:
    with refused("TermsOutOfRange"):
        market.send(RENTER, market.escrow.functions.open(as_tuple(market.terms(**change))))


def test_a_wallet_that_is_a_contract_opens_by_erc_1271(market: Market) -> None:
    says_yes = market.deploy_code("631626ba7e60e01b60005260206000f3")
    says_no = market.deploy_code("60206000f3")
    for wallet in (says_yes, says_no):
        market.mint(wallet, 10**6)
    terms = market.terms(renter=says_no)
    with refused("ERC3009InvalidSignature"):
        market.send(STRANGER, market.escrow.functions.openWithAuthorization(as_tuple(terms), 0, market.now + 60, b"any"))
    terms = market.terms(renter=says_yes)
    market.send(STRANGER, market.escrow.functions.openWithAuthorization(as_tuple(terms), 0, market.now + 60, b"any"))
    job = bytes(market.escrow.functions.jobId(as_tuple(terms)).call())
    market.send(STRANGER, market.escrow.functions.redeem((job, market.gpu, 1000, b"\x00" * 32), b"any"))
    assert market.escrow.functions.unitsPaid(job, market.gpu).call() == 1000
