"""The relayer's ether, watched: an alarm before it is gone, and a refusal that an owner can read when it is."""

import logging
from typing import cast

import pytest

from desktop_app.adapters.chain import Relayer
from desktop_app.core.money import MicroUsd
from desktop_app.pool.fuel import ALARM_EVERY_S, DEED_GAS, EMPTY, LOOK_S, Fuel

GWEI = 10**9


class Tank:
    """A relayer that says what it has."""

    address = "0x" + "11" * 20

    def __init__(self, deeds: int) -> None:
        self.deeds = deeds
        self.asked = 0

    def ether(self) -> int:
        self.asked += 1
        return self.deeds * DEED_GAS * GWEI

    def gas_cost(self, gas: int) -> int:
        return gas * GWEI

    def ether_alarm(self) -> str | None:
        return None if self.deeds >= 200 else "it has little left"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def fuel(tank: Tank, clock: Clock, eth_usd: int = 3_000_000_000) -> Fuel:
    return Fuel(cast(Relayer, tank), MicroUsd(eth_usd), clock)


async def test_a_full_tank_is_asked_now_and_then_and_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    tank, clock = Tank(1_000), Clock()
    one = fuel(tank, clock)
    with caplog.at_level(logging.WARNING):
        assert [await one.refusal() for _ in range(5)] == [None] * 5
    assert (tank.asked, caplog.text) == (1, "")
    clock.now += LOOK_S
    await one.refusal()
    assert tank.asked == 2


async def test_an_emptying_tank_is_told_again_and_again_but_not_each_time(caplog: pytest.LogCaptureFixture) -> None:
    tank, clock = Tank(3), Clock()
    one = fuel(tank, clock)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert await one.refusal() is None
            clock.now += LOOK_S
        assert caplog.text.count("it has little left") == 1
        clock.now += ALARM_EVERY_S
        await one.refusal()
        assert caplog.text.count("it has little left") == 2


async def test_an_empty_tank_is_the_pools_own_trouble_until_it_is_filled() -> None:
    tank, clock = Tank(0), Clock()
    one = fuel(tank, clock)
    assert await one.refusal() == EMPTY
    assert EMPTY.own and "no ether left" in EMPTY.reason
    tank.deeds = 500
    clock.now += LOOK_S
    assert await one.refusal() is None


async def test_what_gas_costs_is_rounded_up() -> None:
    assert await fuel(Tank(500), Clock()).cost(100_000) == 300_000
    assert await fuel(Tank(500), Clock(), eth_usd=1).cost(1) == 1
    assert await fuel(Tank(500), Clock(), eth_usd=0).cost(100_000) == 0
