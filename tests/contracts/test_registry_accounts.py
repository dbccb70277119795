"""Accounts: what was earned in one era of a GPU is paid to those who owned it then, however late the payment comes."""

from eth_utils.crypto import keccak

from desktop_app.core import money
from tests.contracts.market import FEE_BPS, OTHER_TIER, RATE, TIER, Market
from tests.contracts.people import ANNE, BOB, OWNER, RENTER, STRANGER
from tests.contracts.refusals import refused

ERA = 1 << 40
FIRST = keccak(text="first")
NOBODY = "0x" + "0" * 40
WORK = 1_000_000
WORTH = money.net(WORK, RATE, FEE_BPS)


def test_selling_never_moves_what_was_earned(market: Market) -> None:
    job = market.open(market.terms())
    market.sell(OWNER, BOB)
    assert market.account() == market.gpu | ERA
    market.redeem(RENTER, job, WORK, market.gpu)
    assert (market.balance(OWNER), market.balance(BOB)) == (WORTH, 0)
    market.redeem(RENTER, job, WORK, market.gpu | ERA)
    assert (market.balance(OWNER), market.balance(BOB)) == (WORTH, WORTH)
    assert market.job(job).used == 2 * WORK


def test_every_era_is_kept_when_a_gpu_comes_back(market: Market) -> None:
    job = market.open(market.terms(gpu=market.gpu))
    market.sell(OWNER, BOB)
    market.sell(BOB, OWNER)
    market.sell(OWNER, ANNE)
    for era, who in ((1, BOB), (3, ANNE), (0, OWNER), (2, OWNER)):
        had = market.balance(who)
        market.redeem(RENTER, job, WORK // 2, market.gpu | era * ERA)
        assert market.balance(who) - had == money.net(WORK // 2, RATE, FEE_BPS)


def test_a_change_of_tier_never_moves_what_was_earned(market: Market) -> None:
    job, other = market.open(market.terms(1)), market.open(market.terms(2, tier=OTHER_TIER))
    market.set_tier(OTHER_TIER)
    new = market.gpu | ERA
    assert market.account() == new
    assert [tuple(market.registry.functions.payout(one).call()) for one in (market.gpu, new)] == [
        (TIER, OWNER.address, 0),
        (OTHER_TIER, OWNER.address, 0),
    ]
    with refused("WrongTier", TIER, OTHER_TIER):
        market.redeem(RENTER, job, WORK, new)
    with refused("WrongTier", OTHER_TIER, TIER):
        market.redeem(RENTER, other, WORK, market.gpu)
    market.redeem(RENTER, job, WORK, market.gpu)
    market.redeem(RENTER, other, WORK, new)
    assert market.balance(OWNER) == 2 * WORTH


def test_shares_given_after_a_sale_touch_the_new_account_alone(market: Market) -> None:
    market.grant(OWNER, ANNE, 1_000)
    job = market.open(market.terms())
    market.sell(OWNER, BOB)
    market.grant(BOB, STRANGER, 5_000)
    market.redeem(RENTER, job, WORK, market.gpu)
    share = WORTH * 1_000 // 10_000
    assert [market.balance(who) for who in (OWNER, ANNE, BOB, STRANGER)] == [WORTH - share, share, 0, 0]
    market.redeem(RENTER, job, WORK, market.account())
    half = WORTH * 5_000 // 10_000
    assert [market.balance(who) for who in (OWNER, ANNE, BOB, STRANGER)] == [WORTH - share, 2 * share, WORTH - share - half, half]


def test_a_share_takes_with_it_what_it_has_earned_in_every_era(market: Market) -> None:
    market.grant(OWNER, ANNE, 1_000)
    job = market.open(market.terms())
    market.sell(OWNER, BOB)
    market.send(ANNE, market.registry.functions.moveShare(market.gpu, 0, STRANGER.address))
    market.redeem(RENTER, job, WORK, market.gpu)
    assert (market.balance(ANNE), market.balance(STRANGER)) == (0, WORTH * 1_000 // 10_000)


def test_the_key_of_an_old_era_speaks_no_more(market: Market) -> None:
    calls = market.registry.functions
    assert calls.operatorOf(market.gpu, FIRST).call() == OWNER.address
    market.sell(OWNER, BOB)
    new = market.account()
    assert [calls.operatorOf(one, FIRST).call() for one in (market.gpu, new)] == [NOBODY, NOBODY]
    with refused("NotGpuOwner", market.gpu, OWNER.address):
        market.send(OWNER, calls.setOperator(FIRST, OWNER.address))
    market.send(BOB, calls.setOperator(FIRST, ANNE.address))
    assert [calls.operatorOf(one, FIRST).call() for one in (market.gpu, new)] == [NOBODY, ANNE.address]
    market.set_tier(OTHER_TIER)
    assert [calls.operatorOf(one, FIRST).call() for one in (new, market.account())] == [NOBODY, NOBODY]


def test_an_account_that_never_was_is_paid_nothing(market: Market) -> None:
    job = market.open(market.terms())
    market.sell(OWNER, BOB)
    for account in (0, market.gpu + 1, market.gpu | 2 * ERA, market.gpu | ERA << 24, 2**256 - 1, market.gpu | 1 << 255):
        assert market.registry.functions.payees(account).call() == [[], []]
        with refused("NoSuchAccount", account):
            market.redeem(RENTER, job, WORK, account)
    with refused("ERC721NonexistentToken", market.gpu + 1):
        market.send(STRANGER, market.registry.functions.accountOf(market.gpu + 1))
