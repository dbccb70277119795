"""Money is whole, rounds as the escrow contract does, and never appears or disappears."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desktop_app.core.money import BASIS_POINTS, UNITS_PER_HOUR, escrow, fee, gross, net, split

# The rows that the contract's own tests replay on a real chain.
VECTORS = json.loads((Path(__file__).parents[1] / "contracts" / "vectors.json").read_text())

most = st.integers(0, 2**64 - 1)  # what the contract's fields hold
bps = st.integers(0, BASIS_POINTS)


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["why"] for vector in VECTORS])
def test_the_shared_vectors_hold(vector: dict[str, object]) -> None:
    rate, units, fee_bps, shares, steps = (vector[name] for name in ("rate", "units", "bps", "shares", "steps"))
    assert isinstance(rate, int) and isinstance(units, int) and isinstance(fee_bps, int)
    assert isinstance(shares, list) and isinstance(steps, list)
    assert escrow(units, rate) == vector["escrow"]
    for before, after in pairwise([0, *(step["units"] for step in steps)]):
        step = next(step for step in steps if step["units"] == after)
        worth = gross(after, rate) - gross(before, rate)
        taken = fee(gross(after, rate), fee_bps) - fee(gross(before, rate), fee_bps)
        assert net(after, rate, fee_bps) - net(before, rate, fee_bps) == worth - taken
        assert (worth, taken, list(split(worth - taken, tuple(shares)))) == (step["gross"], step["fee"], step["parts"])


@settings(deadline=None)
@given(most, most)
def test_escrow_covers_the_work_and_is_at_most_a_micro_dollar_more(units: int, rate: int) -> None:
    assert gross(units, rate) <= escrow(units, rate) <= gross(units, rate) + 1
    assert gross(units, rate) * UNITS_PER_HOUR <= units * rate <= escrow(units, rate) * UNITS_PER_HOUR


@settings(deadline=None)
@given(most, bps)
def test_a_fee_is_its_share_rounded_down_and_never_more_than_the_whole(amount: int, share: int) -> None:
    assert 0 <= amount * share - fee(amount, share) * BASIS_POINTS < BASIS_POINTS
    assert 0 <= fee(amount, share) <= amount


@settings(deadline=None)
@given(st.lists(most, min_size=1, max_size=6), most, bps)
def test_payments_add_up_to_the_net_of_the_sum_however_they_are_cut(steps: list[int], rate: int, share: int) -> None:
    marks = sorted(steps)
    payments = [net(after, rate, share) - net(before, rate, share) for before, after in pairwise([0, *marks])]
    assert sum(payments) == net(marks[-1], rate, share)
    assert min(payments) >= 0


@settings(deadline=None)
@given(most, st.lists(st.integers(0, BASIS_POINTS), max_size=8).filter(lambda shares: sum(shares) <= BASIS_POINTS))
def test_a_split_gives_out_everything_and_the_owner_keeps_the_dust(amount: int, shares: list[int]) -> None:
    parts = split(amount, tuple(shares))
    assert sum(parts) == amount and min(parts) >= 0
    assert list(parts[1:]) == [amount * share // BASIS_POINTS for share in shares]


def test_more_than_the_whole_cannot_be_given_away() -> None:
    assert split(100, (BASIS_POINTS,)) == (0, 100)
    with pytest.raises(ValueError, match="more than the whole"):
        split(100, (BASIS_POINTS, 1))


def test_nothing_is_ever_negative() -> None:
    for wrong in (lambda: gross(-1, 1), lambda: gross(1, -1), lambda: escrow(-1, 1), lambda: fee(-1, 1), lambda: split(-1, ())):
        with pytest.raises(ValueError, match="never negative"):
            wrong()
    with pytest.raises(ValueError, match="never negative"):
        split(1, (-1, 2))
