"""Opening a job: with an allowance, and gasless, where one signature both pays and accepts the terms."""

from dataclasses import replace

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from desktop_app.core import money
from desktop_app.core.money import escrow
from tests.contracts.market import DAY, FEE_BPS, OTHER_TIER, RATE, TIER, UNITS, Market, as_tuple
from tests.contracts.people import ANNE, DEPLOYER, GUARDIAN, OWNER, RENTER, STRANGER
from tests.contracts.refusals import refused

TERMS_TYPE = "(address,uint8,uint64,uint64,uint64,uint64,uint32,bytes32,bytes32)"
NOBODY = "0x" + "0" * 40


def test_the_id_is_the_hash_of_chain_contract_and_terms(market: Market) -> None:
    terms = market.terms()
    expected = keccak(encode(["uint256", "address", TERMS_TYPE], [market.chain_id, str(market.escrow.address), as_tuple(terms)]))
    assert market.open(terms) == expected


def test_open_moves_the_escrow_and_keeps_the_terms(market: Market) -> None:
    before = market.balance(RENTER)
    terms = market.claimable()
    job = market.open(terms)
    assert before - market.balance(RENTER) == escrow(UNITS, RATE) == market.balance(str(market.escrow.address))
    (event,) = market.escrow.events.JobOpened().get_logs(from_block=market.web3.eth.block_number)
    assert tuple(event["args"]["terms"].values()) == as_tuple(terms)
    assert market.job(job) == (RENTER.address, RATE, market.gpu, TIER, escrow(UNITS, RATE), 0, UNITS, 0, terms.deadline, FEE_BPS)


def test_only_the_renter_opens_from_an_allowance(market: Market) -> None:
    market.send(RENTER, market.usdc.functions.approve(market.escrow.address, 10**9))
    with refused("NotRenter", STRANGER.address):
        market.send(STRANGER, market.escrow.functions.open(as_tuple(market.terms())))


def test_without_money_nothing_is_opened(market: Market) -> None:
    with refused("ERC20InsufficientAllowance"):
        market.send(RENTER, market.escrow.functions.open(as_tuple(market.terms())))
    with refused("ERC20InsufficientBalance"):
        market.open(market.terms(renter=ANNE.address), ANNE)
    with refused("ERC20InsufficientBalance"):
        market.open_gasless(market.terms(renter=ANNE.address), ANNE)


def test_open_gasless_by_anyone_with_the_id_as_nonce(market: Market) -> None:
    terms, before = market.terms(), market.balance(RENTER)
    job = market.open_gasless(terms)
    assert before - market.balance(RENTER) == escrow(UNITS, RATE)
    assert market.usdc.functions.authorizationState(RENTER.address, job).call()
    assert market.job(job).renter == RENTER.address
    with refused("JobExists", job):
        market.open_gasless(terms)


@pytest.mark.parametrize(
    "change",
    [
        {"rate": RATE - 1},
        {"rate": RATE + 1},
        {"units": UNITS + 1},
        {"tier": OTHER_TIER},
        {"gpu": 1},
        {"renter": ANNE.address},
        {"deadline": 2_000_000_000},
        {"gpu": 1, "window": 1},
        {"spec_hash": "0x" + "12" * 32},
        {"salt": "0x" + "12" * 32},
    ],
    ids=str,
)
def test_tampered_terms_do_not_open_gasless(market: Market, change: dict[str, object]) -> None:
    terms, before = market.terms(), market.now + 3600
    signature = market.authorize(RENTER, str(market.escrow.address), escrow(UNITS, RATE), market.job_id(terms), before)
    tampered = replace(terms, **change)  # type: ignore[arg-type]
    with refused("ERC3009InvalidSignature"):
        market.send(STRANGER, market.escrow.functions.openWithAuthorization(as_tuple(tampered), 0, before, signature))


@pytest.mark.parametrize("moment", ["late", "early"])
def test_an_authorisation_has_its_time(market: Market, moment: str) -> None:
    terms, before = market.terms(), market.now + 60
    after = before - 30 if moment == "early" else 0
    signature = market.authorize(RENTER, str(market.escrow.address), escrow(UNITS, RATE), market.job_id(terms), before, after)
    if moment == "late":
        market.travel(before)
    with refused("ERC3009InvalidAuthorizationTime"):
        market.send(STRANGER, market.escrow.functions.openWithAuthorization(as_tuple(terms), after, before, signature))


def test_the_renter_pays_for_nothing_by_hand_what_it_paid_by_signature(market: Market) -> None:
    """An authorisation sent straight to the token cannot be used: only its receiver, the escrow, may bring it."""
    job, amount, before, to = market.job_id(market.terms()), escrow(UNITS, RATE), market.now + 3600, str(market.escrow.address)
    signature = market.authorize(RENTER, to, amount, job, before)
    take = market.usdc.get_function_by_signature("receiveWithAuthorization(address,address,uint256,uint256,uint256,bytes32,bytes)")
    with refused("ERC20InvalidReceiver"):
        market.send(STRANGER, take(RENTER.address, to, amount, 0, before, job, signature))


def test_a_job_is_opened_once_even_after_it_was_closed(market: Market) -> None:
    terms = market.terms()
    job = market.open(terms)
    with refused("JobExists", job):
        market.open(terms)
    market.redeem(RENTER, job, UNITS)
    market.close(job)
    for again in (market.open, market.open_gasless):
        with refused("JobExists", job):
            again(terms)


def test_a_paused_market_opens_nothing_and_pays_everything(market: Market) -> None:
    first, second = market.open(market.terms(1)), market.open(market.claimable(2))
    market.send(GUARDIAN, market.policy.functions.setPaused(True))
    for opening in (market.open, market.open_gasless):
        with refused("MarketPaused"):
            opening(market.terms(3))
    market.redeem(RENTER, first, 1_000)
    market.redeem_attested(first, 2_000)
    market.batch([market.row(first, 3_000)])
    market.claim(OWNER, market.claimable(2, deadline=market.job(second).deadline), 1_000)
    market.travel(market.now + DAY)
    market.finalize(second)
    market.travel(market.now + 2 * DAY)
    market.close(first)
    market.sweep(second)
    assert market.balance(OWNER) == money.net(3_000, RATE, FEE_BPS) + money.net(1_000, RATE, FEE_BPS)


def test_a_job_keeps_the_fee_it_was_opened_with(market: Market) -> None:
    old = market.open(market.terms(1))
    market.send(DEPLOYER, market.policy.functions.setFee(100))
    new = market.open(market.terms(2))
    market.top_up(old, UNITS)
    assert (market.job(old).fee_bps, market.job(new).fee_bps) == (FEE_BPS, 100)
    market.redeem(RENTER, old, 2 * UNITS)
    market.redeem(RENTER, new, UNITS)
    assert market.job(old).fees == money.fee(money.gross(2 * UNITS, RATE), FEE_BPS)
    assert market.job(new).fees == money.fee(money.gross(UNITS, RATE), 100)


def test_the_escrow_needs_a_token_and_a_registry(market: Market) -> None:
    with refused("ZeroAddress"):
        market.deploy("TaskEscrow", NOBODY, market.registry.address)
    with refused("ZeroAddress"):
        market.deploy("TaskEscrow", market.usdc.address, NOBODY)
    assert market.escrow.functions.policy().call() == market.policy.address
