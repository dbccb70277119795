"""The rate follows use within its bounds, and an owner never shares at a loss."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desktop_app.core.money import Rate
from desktop_app.core.pricing import WHOLE, Controller, cost_per_hour, covers, next_rate, utilisation

rates = st.integers(1, 10**9)


@st.composite
def controllers(draw: st.DrawFn) -> Controller:
    floor = draw(rates)
    return Controller(
        floor=Rate(floor),
        ceiling=Rate(draw(st.integers(floor, 2 * 10**9))),
        target=draw(st.integers(1, WHOLE - 1)),
        gain=draw(st.integers(1, 5 * WHOLE)),
        step=draw(st.integers(1, WHOLE - 1)),
    )


@given(controllers(), st.integers(0, 4 * 10**9), st.integers(0, WHOLE))
def test_the_rate_stays_within_floor_ceiling_and_step(controller: Controller, rate: int, used: int) -> None:
    moved = next_rate(Rate(rate), used, controller)
    before = min(max(rate, controller.floor), controller.ceiling)
    assert controller.floor <= moved <= controller.ceiling
    assert abs(moved - before) <= max(before * controller.step // WHOLE, 1)


@given(controllers(), rates, st.integers(0, WHOLE))
def test_the_rate_moves_towards_the_side_that_use_is_on(controller: Controller, rate: int, used: int) -> None:
    before = min(max(rate, controller.floor), controller.ceiling)
    moved = next_rate(Rate(rate), used, controller)
    if used == controller.target:
        assert moved == before
    elif used > controller.target:
        assert moved > before or moved == controller.ceiling
    else:
        assert moved < before or moved == controller.floor


@given(controllers(), rates, st.integers(0, WHOLE), st.integers(0, WHOLE))
def test_more_use_never_means_a_lower_rate(controller: Controller, rate: int, one: int, other: int) -> None:
    less, more = sorted((one, other))
    assert next_rate(Rate(rate), less, controller) <= next_rate(Rate(rate), more, controller)


@given(st.integers(20_000, 500_000), st.integers(20_000, 500_000))
def test_the_rate_settles_where_demand_meets_the_target(start: int, balance: int) -> None:
    """With demand that falls as the rate rises, any start ends near the rate at which use is the target."""
    controller = Controller(floor=Rate(10_000), ceiling=Rate(1_000_000))
    rate = Rate(start)
    for _ in range(300):
        used = min(WHOLE, controller.target * balance // rate)
        rate = next_rate(rate, used, controller)
    assert abs(rate - balance) <= balance // 50


def test_known_moves() -> None:
    controller = Controller(floor=Rate(10_000), ceiling=Rate(400_000))
    assert next_rate(Rate(100_000), WHOLE, controller) == 107_500  # 1 + 0.25 * 0.3
    assert next_rate(Rate(100_000), 0, controller) == 87_500  # 0.25 * 0.7 is above the step of 0.125
    assert next_rate(Rate(100_000), 7_000, controller) == 100_000
    assert next_rate(Rate(399_999), WHOLE, controller) == 400_000
    assert next_rate(Rate(1), 7_000, controller) == 10_000


@pytest.mark.parametrize(("busy", "offered", "used"), [(0, 0, 0), (0, 3, 0), (1, 3, 3_333), (3, 3, WHOLE)])
def test_utilisation(busy: int, offered: int, used: int) -> None:
    assert utilisation(busy, offered) == used


@pytest.mark.parametrize(("busy", "offered"), [(-1, 2), (3, 2)])
def test_more_cannot_be_busy_than_is_offered(busy: int, offered: int) -> None:
    with pytest.raises(ValueError, match="offered"):
        utilisation(busy, offered)


@pytest.mark.parametrize("used", [-1, WHOLE + 1])
def test_use_is_a_share(used: int) -> None:
    with pytest.raises(ValueError, match="utilisation"):
        next_rate(Rate(1), used, Controller(floor=Rate(1), ceiling=Rate(2)))


@pytest.mark.parametrize(
    "wrong", [{"floor": 0}, {"ceiling": 9}, {"target": 0}, {"target": WHOLE}, {"gain": 0}, {"step": 0}, {"step": WHOLE}]
)
def test_a_controller_out_of_range_is_no_controller(wrong: dict[str, int]) -> None:
    fields = {"floor": 10, "ceiling": 20, "target": 7_000, "gain": 1, "step": 1} | wrong
    with pytest.raises(ValueError, match=r"rate has a floor|target and step"):
        Controller(Rate(fields["floor"]), Rate(fields["ceiling"]), fields["target"], fields["gain"], fields["step"])


@given(st.integers(0, 2_000), st.integers(0, 10**7), st.integers(0, 10**9))
def test_sharing_is_never_at_a_loss(watts: int, tariff: int, floor: int) -> None:
    cost = cost_per_hour(watts, tariff)
    assert cost * 1_000 >= watts * tariff > (cost - 1) * 1_000
    assert covers(Rate(cost + floor), watts, tariff, Rate(floor))
    assert not covers(Rate(cost + floor - 1), watts, tariff, Rate(floor))


@pytest.mark.parametrize(("watts", "tariff"), [(-1, 1), (1, -1)])
def test_negative_power_has_no_cost(watts: int, tariff: int) -> None:
    with pytest.raises(ValueError, match="never negative"):
        cost_per_hour(watts, tariff)
