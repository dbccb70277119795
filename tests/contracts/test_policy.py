"""The policy: each figure has an owner and a bound, and its guardian can stop new jobs and nothing else."""

from dataclasses import dataclass

import pytest

from tests.contracts.market import ALLOWANCE, DAY, FEE_BPS, MOST_RATE, OTHER_TIER, TIER, Market
from tests.contracts.people import ANNE, ARBITER, ATTESTOR, BOB, DEPLOYER, GUARDIAN, OWNER, RENTER, STRANGER, TREASURY
from tests.contracts.refusals import refused

NOBODY = "0x" + "0" * 40


@dataclass(frozen=True)
class Setting:
    """A setter, what it is told, and where and how that is said afterwards."""

    name: str
    arguments: tuple[object, ...]
    getter: str
    asked: tuple[object, ...]
    value: object
    event: str
    said: dict[str, object]


SETTINGS = [
    Setting("setFee", (100,), "feeBps", (), 100, "FeeSet", {"feeBps": 100}),
    Setting("setFee", (0,), "feeBps", (), 0, "FeeSet", {"feeBps": 0}),
    Setting("setTreasury", (ANNE.address,), "treasury", (), ANNE.address, "TreasurySet", {"treasury": ANNE.address}),
    Setting("setArbiter", (ANNE.address,), "arbiter", (), ANNE.address, "ArbiterSet", {"arbiter": ANNE.address}),
    Setting("setGuardian", (ANNE.address,), "guardian", (), ANNE.address, "GuardianSet", {"guardian": ANNE.address}),
    Setting("setGuardian", (NOBODY,), "guardian", (), NOBODY, "GuardianSet", {"guardian": NOBODY}),
    Setting(
        "setAttestor", (ANNE.address, True), "isAttestor", (ANNE.address,), True, "AttestorSet", {"account": ANNE.address, "trusted": True}
    ),
    Setting(
        "setAttestor",
        (ATTESTOR.address, False),
        "isAttestor",
        (ATTESTOR.address,),
        False,
        "AttestorSet",
        {"account": ATTESTOR.address, "trusted": False},
    ),
    Setting("setAllowance", (77,), "allowance", (), 77, "AllowanceSet", {"perDay": 77}),
    Setting("setAllowance", (2**208 - 1,), "allowance", (), 2**208 - 1, "AllowanceSet", {"perDay": 2**208 - 1}),
    Setting("setBounds", (9, 5, 5), "bounds", (9,), [5, 5], "BoundsSet", {"tier": 9, "floor": 5, "ceiling": 5}),
    Setting("setBounds", (TIER, 0, 0), "bounds", (TIER,), [0, 0], "BoundsSet", {"tier": TIER, "floor": 0, "ceiling": 0}),
]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda one: f"{one.name}{one.arguments}")
def test_what_the_owner_sets_is_kept_and_said(market: Market, setting: Setting) -> None:
    change = market.policy.functions[setting.name](*setting.arguments)
    for who in (STRANGER, GUARDIAN, TREASURY, ARBITER, ATTESTOR):
        with refused("OwnableUnauthorizedAccount", who.address):
            market.send(who, change)
    receipt = market.send(DEPLOYER, change)
    assert market.policy.functions[setting.getter](*setting.asked).call() == setting.value
    (event,) = market.policy.events[setting.event]().process_receipt(receipt)
    assert dict(event["args"]) == setting.said


@pytest.mark.parametrize(
    ("name", "arguments", "error", "values"),
    [
        ("setFee", (101,), "FeeAboveCap", (101,)),
        ("setFee", (65_535,), "FeeAboveCap", (65_535,)),
        ("setTreasury", (NOBODY,), "ZeroAddress", ()),
        ("setArbiter", (NOBODY,), "ZeroAddress", ()),
        ("setAttestor", (NOBODY, True), "ZeroAddress", ()),
        ("setBounds", (TIER, 6, 5), "BoundsCrossed", (6, 5)),
    ],
)
def test_what_is_out_of_bounds_is_refused(
    market: Market, name: str, arguments: tuple[object, ...], error: str, values: tuple[object, ...]
) -> None:
    with refused(error, *values):
        market.send(DEPLOYER, market.policy.functions[name](*arguments))


def test_the_first_settings_have_the_same_bounds(market: Market) -> None:
    good = [DEPLOYER.address, TREASURY.address, ARBITER.address, GUARDIAN.address, ATTESTOR.address, FEE_BPS, ALLOWANCE]
    wrong = [(0, NOBODY, "OwnableInvalidOwner"), (5, 101, "FeeAboveCap")]
    wrong += [(place, NOBODY, "ZeroAddress") for place in (1, 2, 4)]
    for place, value, error in wrong:
        with refused(error):
            market.deploy("MarketPolicy", (*good[:place], value, *good[place + 1 :]))
    assert market.deploy("MarketPolicy", (*good[:3], NOBODY, *good[4:])).functions.guardian().call() == NOBODY


def test_guardian_and_owner_stop_new_jobs_and_nobody_else_does(market: Market) -> None:
    pause = market.policy.functions.setPaused
    for who in (STRANGER, TREASURY, ARBITER, ATTESTOR):
        for stop in (True, False):
            with refused("NotGuardian", who.address):
                market.send(who, pause(stop))
    for who in (GUARDIAN, DEPLOYER):
        for stop in (True, False):
            (event,) = market.policy.events.PauseSet().process_receipt(market.send(who, pause(stop)))
            assert market.policy.functions.paused().call() is stop is event["args"]["paused"]
    market.send(DEPLOYER, market.policy.functions.setGuardian(NOBODY))
    with refused("NotGuardian", GUARDIAN.address):
        market.send(GUARDIAN, pause(True))
    market.send(DEPLOYER, pause(True))


def test_an_offer_says_all_that_opening_a_job_needs(market: Market) -> None:
    assert market.policy.functions.offer(TIER).call() == [FEE_BPS, False, 1, MOST_RATE]
    market.send(GUARDIAN, market.policy.functions.setPaused(True))
    assert market.policy.functions.offer(7).call() == [FEE_BPS, True, 0, 0]


def available(market: Market, escrow: str, attestor: str = ATTESTOR.address) -> int:
    return int(market.policy.functions.available(escrow, attestor).call())


def test_each_caller_draws_on_an_allowance_of_its_own(market: Market) -> None:
    """So that nobody can use up what an escrow may pay out on an attestor's word."""
    draw = market.policy.functions.draw
    market.send(STRANGER, draw(ATTESTOR.address, ALLOWANCE))
    with refused("RateLimitExceeded"):
        market.send(STRANGER, draw(ATTESTOR.address, 10**6))
    assert available(market, str(market.escrow.address)) == available(market, BOB.address) == ALLOWANCE
    market.send(BOB, draw(ATTESTOR.address, 1))
    market.send(DEPLOYER, market.policy.functions.setAttestor(ANNE.address, True))
    assert available(market, STRANGER.address, ANNE.address) == ALLOWANCE


def test_nobody_draws_for_who_is_no_attestor(market: Market) -> None:
    with refused("NotAttestor", OWNER.address):
        market.send(STRANGER, market.policy.functions.draw(OWNER.address, 0))
    assert available(market, str(market.escrow.address), OWNER.address) == 0
    market.send(DEPLOYER, market.policy.functions.setAttestor(ATTESTOR.address, False))
    assert available(market, str(market.escrow.address)) == 0
    with refused("NotAttestor", ATTESTOR.address):
        market.send(STRANGER, market.policy.functions.draw(ATTESTOR.address, 0))


def test_an_allowance_refills_within_a_day(market: Market) -> None:
    draw, at = market.policy.functions.draw, market.now
    market.send(STRANGER, draw(ATTESTOR.address, ALLOWANCE))
    market.travel(at + DAY // 4)
    with refused("RateLimitExceeded"):
        market.send(STRANGER, draw(ATTESTOR.address, ALLOWANCE // 4 + 1))
    market.travel(at + DAY // 2)
    market.send(STRANGER, draw(ATTESTOR.address, ALLOWANCE // 2))
    assert available(market, STRANGER.address) == 0
    market.travel(at + 3 * DAY)
    market.send(STRANGER, draw(ATTESTOR.address, 0))
    assert available(market, STRANGER.address) == ALLOWANCE


def test_an_allowance_can_be_cut_to_nothing(market: Market) -> None:
    market.send(DEPLOYER, market.policy.functions.setAllowance(0))
    assert available(market, str(market.escrow.address)) == 0
    job = market.open(market.terms())
    with refused("RateLimitExceeded"):
        market.redeem_attested(job, 1_000)
    market.redeem(RENTER, job, 1_000)  # the renter's own word has no limit


def test_the_owner_hands_the_policy_on(market: Market) -> None:
    market.send(DEPLOYER, market.policy.functions.transferOwnership(ANNE.address))
    with refused("OwnableUnauthorizedAccount", DEPLOYER.address):
        market.send(DEPLOYER, market.policy.functions.setFee(1))
    market.send(ANNE, market.policy.functions.setFee(1))
    assert market.policy.functions.bounds(OTHER_TIER).call() == [1, MOST_RATE]
