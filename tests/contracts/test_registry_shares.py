"""Co-owners: shares come out of the holder's residual and move only by the hand of the one who holds them."""

from tests.contracts.market import TIER, Market
from tests.contracts.people import ANNE, BOB, OWNER, STRANGER, person
from tests.contracts.refusals import refused

NOBODY = "0x" + "0" * 40


def payees(market: Market, account: int | None = None) -> list[tuple[str, int]]:
    who, bps = market.registry.functions.payees(market.gpu if account is None else account).call()
    return list(zip(who, bps, strict=True))


def test_shares_come_from_the_residual_only(market: Market) -> None:
    market.grant(OWNER, ANNE, 6_000)
    market.grant(OWNER, BOB, 3_000)
    for bps in (1_001, 0, 65_535):
        with refused("ShareOutOfRange", bps, 1_000):
            market.grant(OWNER, STRANGER, bps)
    assert payees(market) == [(OWNER.address, 1_000), (ANNE.address, 6_000), (BOB.address, 3_000)]
    assert tuple(market.registry.functions.payout(market.gpu).call()) == (TIER, OWNER.address, 2)
    assert [tuple(one) for one in market.registry.functions.sharesOf(market.gpu, 2).call()] == [(ANNE.address, 6_000), (BOB.address, 3_000)]
    market.grant(OWNER, STRANGER, 1_000)
    assert payees(market)[0] == (OWNER.address, 0)


def test_nobody_holds_no_share(market: Market) -> None:
    with refused("ZeroAddress"):
        market.send(OWNER, market.registry.functions.grantShare(market.gpu, NOBODY, 1))
    market.grant(OWNER, ANNE, 1)
    with refused("ZeroAddress"):
        market.send(ANNE, market.registry.functions.moveShare(market.gpu, 0, NOBODY))


def test_only_the_holder_of_a_share_moves_it(market: Market) -> None:
    move = market.registry.functions.moveShare
    market.grant(OWNER, ANNE, 5_000)
    for who in (OWNER, STRANGER):
        with refused("NotShareHolder", market.gpu, 0, who.address):
            market.send(who, move(market.gpu, 0, who.address))
    for gpu, slot in ((market.gpu, 1), (market.gpu + 1, 0)):
        with refused("NotShareHolder", gpu, slot, ANNE.address):
            market.send(ANNE, move(gpu, slot, BOB.address))
    market.send(ANNE, move(market.gpu, 0, BOB.address))
    assert payees(market) == [(OWNER.address, 5_000), (BOB.address, 5_000)]
    with refused("NotShareHolder", market.gpu, 0, ANNE.address):
        market.send(ANNE, move(market.gpu, 0, ANNE.address))


def test_selling_the_token_leaves_the_co_owners_alone(market: Market) -> None:
    market.grant(OWNER, ANNE, 2_500)
    market.sell(OWNER, STRANGER)
    assert payees(market, market.account()) == [(STRANGER.address, 7_500), (ANNE.address, 2_500)]
    with refused("ShareOutOfRange", 7_501, 7_500):
        market.grant(STRANGER, BOB, 7_501)


def test_at_most_eight_co_owners(market: Market) -> None:
    for number in range(8):
        market.grant(OWNER, person(20 + number), 100)
    with refused("TooManyCoOwners", market.gpu):
        market.grant(OWNER, ANNE, 100)
    assert len(payees(market)) == 9


def test_one_hand_may_hold_several_shares(market: Market) -> None:
    market.grant(OWNER, ANNE, 100)
    market.grant(OWNER, ANNE, 200)
    market.grant(OWNER, OWNER, 300)
    assert payees(market) == [(OWNER.address, 9_400), (ANNE.address, 100), (ANNE.address, 200), (OWNER.address, 300)]
