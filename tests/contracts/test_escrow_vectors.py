"""Rounding, fee and split: one file of literal vectors, to which this test holds the contracts and `tests/core` the core.

The vectors' extremes are the contract's own: 48 bits of units and of rate, an escrow up to 2^54, one per cent.
"""

import json
from pathlib import Path
from typing import TypedDict

import pytest

from desktop_app.core import money
from tests.contracts.market import Market
from tests.contracts.people import DEPLOYER, OWNER, RENTER, person


class Step(TypedDict):
    """What one more voucher pays; `parts`: the holder's, then each co-owner's."""

    units: int
    gross: int
    fee: int
    parts: list[int]


class Vector(TypedDict):
    """One job and the vouchers redeemed on it."""

    why: str
    rate: int
    units: int
    bps: int
    shares: list[int]
    escrow: int
    steps: list[Step]


VECTORS: list[Vector] = json.loads((Path(__file__).parent / "vectors.json").read_text())


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["why"])
def test_rounding_is_the_vectors_to_the_micro_dollar(market: Market, vector: Vector) -> None:
    rate, units = vector["rate"], vector["units"]
    payees = [OWNER, *(person(20 + number) for number in range(len(vector["shares"])))]
    for who, share in zip(payees[1:], vector["shares"], strict=True):
        market.grant(OWNER, who, share)
    market.send(DEPLOYER, market.policy.functions.setFee(vector["bps"]))
    market.mint(RENTER.address, vector["escrow"])
    assert market.escrow.functions.escrowFor(units, rate).call() == vector["escrow"] == money.escrow(units, rate)
    job, fees = market.open(market.terms(rate=rate, units=units)), 0
    for step in vector["steps"]:
        had, held = [market.balance(who) for who in payees], market.job(job).held
        market.redeem(RENTER, job, step["units"])
        fees += step["fee"]
        assert [market.balance(who) - one for who, one in zip(payees, had, strict=True)] == step["parts"]
        assert (held - market.job(job).held, market.job(job).fees) == (step["gross"], fees)
    left = vector["escrow"] - sum(step["gross"] for step in vector["steps"])
    before = market.balance(RENTER)
    market.close(job)
    assert market.balance(RENTER) - before == left <= 1
