"""When a voucher is redeemed: an amount, a day, or the day of grace; and never for nothing."""

import pytest

from desktop_app.core.keeping import ASK_AGAIN_S, GRACE_S, LEAST, LONGEST_S, OWN_MARGIN_S, Keeping, fee_of, ripe, running_out
from desktop_app.core.money import MicroUsd

SINCE = 1_000_000
UNTIL = SINCE + 30 * LONGEST_S
DEADLINE = UNTIL - GRACE_S


@pytest.mark.parametrize(
    ("unpaid", "now", "every_task", "wanted"),
    [
        (1, SINCE, False, False),
        (1, SINCE, True, True),
        (0, UNTIL, True, False),
        (LEAST - 1, SINCE + LONGEST_S - 1, False, False),
        (LEAST, SINCE, False, True),
        (1, SINCE + LONGEST_S, False, True),
    ],
)
def test_an_amount_or_a_day_makes_a_voucher_ripe(unpaid: int, now: int, every_task: bool, wanted: bool) -> None:
    assert ripe(MicroUsd(unpaid), SINCE, UNTIL, now, every_task=every_task) is wanted


def test_from_its_jobs_deadline_on_a_voucher_waits_no_longer() -> None:
    assert not ripe(MicroUsd(1), DEADLINE - 1, UNTIL, DEADLINE - 1)
    assert ripe(MicroUsd(1), DEADLINE - 1, UNTIL, DEADLINE)


def test_the_fee_on_what_a_voucher_adds_is_the_difference_of_rounded_ones() -> None:
    assert fee_of(3_600_000, 0, 2_000_000, 10) == 2_000
    assert fee_of(3_600_000, 1_800_000, 2_000_000, 10) == 1_000
    assert sum(fee_of(units, units - 1, 3_600_000, 10) for units in range(1, 2_001)) == 2


@pytest.mark.parametrize(
    ("keeping", "wanted"),
    [
        (Keeping(), False),
        (Keeping(until=SINCE + OWN_MARGIN_S + 1), False),
        (Keeping(until=SINCE + OWN_MARGIN_S), True),
        (Keeping(until=SINCE - 1), True),  # the job may still be open
        (Keeping(until=SINCE, asked=SINCE), False),
        (Keeping(until=SINCE, asked=SINCE - ASK_AGAIN_S + 1), False),
        (Keeping(until=SINCE, asked=SINCE - ASK_AGAIN_S), True),
        (Keeping(until=SINCE, asked=SINCE + 5), True),  # the clock went back
    ],
)
def test_an_owner_asks_for_what_runs_out_now_and_then(keeping: Keeping, wanted: bool) -> None:
    assert running_out(keeping, SINCE) is wanted
