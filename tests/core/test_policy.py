"""The verdict: every reason to keep the GPU, in the order an owner would want to hear them."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from desktop_app.core.gpu import DeviceKind, Foreign, Tier, tier_of
from desktop_app.core.money import Rate
from desktop_app.core.policy import (
    COOLDOWN_MOST,
    No,
    Yes,
    asking,
    decide,
    not_ready,
    owner_wants_gpu,
    registered,
    watts,
    worth,
)
from desktop_app.core.presence import Presence
from desktop_app.core.schedule import Schedule
from desktop_app.core.settings import Settings
from desktop_app.core.state import Cooldown, Level, Readiness, Reason, Sharing, State, Trigger, Why
from tests.builders import (
    NOON,
    a_benchmark,
    a_device,
    a_gpu,
    a_market,
    a_practice_device,
    a_readiness,
    a_reading,
    a_state,
    a_task,
    a_wallet,
)

LATER = NOON + timedelta(hours=1)
WEDNESDAY_NOON = 2 * 48 + 24
AWAY = Schedule("a" * 336)
OFF_UNTIL_ONE = Schedule("-" * (WEDNESDAY_NOON + 2) + "s" * (334 - WEDNESDAY_NOON))
BUSY = Presence(idle_s=3.0, locked=False)


def presence(**signs: object) -> Presence:
    return replace(Presence(idle_s=10_000.0), **signs)  # type: ignore[arg-type]


BUSY_CARD = replace(a_gpu(reading=replace(a_reading(), foreign_load=60, foreign_name="hades")), foreign=Foreign(busy_s=1.0))


# Each with the verdict it alone brings, in the order in which they are said.
REASONS: list[tuple[State, Reason, Trigger | None]] = [
    (a_state(sharing=Sharing(on=True, quitting=True)), Reason.QUITTING, Trigger.QUIT),
    (a_state(sharing=Sharing(on=False)), Reason.SHARING_OFF, Trigger.CLICK),
    (a_state(sharing=Sharing(on=True, snoozed_until=LATER)), Reason.SNOOZED, Trigger.SNOOZE),
    (a_state(gpu=replace(a_gpu(), fault=79)), Reason.GPU_FAULT, Trigger.GPU_FAULT),
    (a_state(gpu=a_gpu(lost=True)), Reason.GPU_LOST, Trigger.GPU_LOST),
    (a_state(presence=presence(on_battery=True)), Reason.ON_BATTERY, Trigger.BATTERY),
    (a_state(gpu=a_gpu(reading=a_reading(temperature=83))), Reason.TOO_HOT, Trigger.HEAT),
    (a_state(presence=presence(remote=True)), Reason.REMOTE_DESKTOP, Trigger.REMOTE_DESKTOP),
    (a_state(presence=presence(apps=("blender",))), Reason.APP_RUNNING, Trigger.APP),
    (a_state(presence=presence(game_mode=True)), Reason.GAME_MODE, Trigger.GAME_MODE),
    (a_state(presence=presence(full_screen=True)), Reason.FULL_SCREEN, Trigger.FULL_SCREEN),
    (a_state(gpu=BUSY_CARD), Reason.FOREIGN_USE, Trigger.FOREIGN_USE),
    (a_state(gpu=a_gpu(reading=a_reading(memory_used_mb=24_060))), Reason.VRAM_RESERVE, Trigger.VRAM),
    (a_state(settings=Settings(schedule=OFF_UNTIL_ONE)), Reason.SCHEDULE, Trigger.SCHEDULE),
    (a_state(settings=Settings(schedule=AWAY), presence=Presence()), Reason.PRESENCE_UNKNOWN, Trigger.PRESENCE),
    (a_state(settings=Settings(schedule=AWAY), presence=BUSY), Reason.OWNER_PRESENT, Trigger.PRESENCE),
    (a_state(gpu=replace(a_gpu(), device=None)), Reason.NO_GPU, None),
    (a_state(gpu=a_gpu(device=a_device(memory_mb=4_000), tier=None)), Reason.NO_GPU, None),
    (a_state(gpu=a_gpu(device=a_practice_device(), tier=Tier.PRACTICE), settings=Settings(network="base")), Reason.WRONG_NETWORK, None),
    (a_state(readiness=Readiness()), Reason.SANDBOX_TESTING, None),
    (a_state(readiness=a_readiness(runtime=None)), Reason.SANDBOX_TESTING, None),
    (a_state(readiness=a_readiness(runtime=False)), Reason.NO_RUNTIME, None),
    (a_state(readiness=a_readiness(level=Level.CONTAINED, fix="apt install bubblewrap")), Reason.SANDBOX_NOT_READY, None),
    (a_state(readiness=a_readiness(disk_full=True)), Reason.DISK_FULL, None),
    (a_state(wallet=a_wallet(ready=False)), Reason.WALLET_LOCKED, None),
    (a_state(gpu=a_gpu(benchmark=a_benchmark(engine="torch 1.0"))), Reason.MEASURING, None),
    (a_state(gpu=replace(a_gpu(), tier=None)), Reason.TOO_SLOW, None),
    (a_state(market=a_market(connected=False)), Reason.MARKET_OFFLINE, None),
    (a_state(market=a_market(rate=None)), Reason.MARKET_OFFLINE, None),
    (a_state(gpu=a_gpu(chain_id=None)), Reason.REGISTERING, None),
    (a_state(gpu=replace(a_gpu(), registered="GPU-0")), Reason.REGISTERING, None),
    (a_state(looked=False), Reason.LOOKING, None),
    (a_state(sharing=Sharing(on=True, finishing=True)), Reason.FINISHING, None),
    (a_state(cooldown=Cooldown(NOON + timedelta(minutes=2), 2)), Reason.COOLING_DOWN, None),
    (a_state(market=a_market(rate=44_999)), Reason.PRICE_BELOW_FLOOR, None),
]


def no(state: State) -> No:
    verdict = decide(state)
    assert isinstance(verdict, No)
    return verdict


def test_a_ready_machine_shares() -> None:
    assert decide(a_state()) == Yes()
    assert owner_wants_gpu(a_state()) is None and not_ready(a_state()) is None


@pytest.mark.parametrize(("state", "reason", "trigger"), REASONS, ids=[reason for _, reason, _ in REASONS])
def test_each_reason_alone_is_the_verdict(state: State, reason: Reason, trigger: Trigger | None) -> None:
    assert (no(state).why.reason, no(state).trigger) == (reason, trigger)


def test_only_what_the_owner_wants_takes_a_task_back() -> None:
    """A reason with a trigger comes from `owner_wants_gpu`, one without never does."""
    for state, _, trigger in REASONS:
        assert (owner_wants_gpu(state) is not None) == (trigger is not None)


def merged(one: State, other: State) -> State:
    """Both troubles at once: whatever differs from a ready machine, part by part."""
    ready = a_state()
    parts = {}
    for name in ("sharing", "presence", "settings", "gpu", "readiness", "wallet", "market", "cooldown", "looked"):
        mine, yours, fine = getattr(one, name), getattr(other, name), getattr(ready, name)
        if isinstance(fine, bool):
            parts[name] = mine if mine != fine else yours
            continue
        fields = {field: getattr(mine, field) for field in fine.__slots__ if getattr(mine, field) != getattr(fine, field)}
        parts[name] = replace(yours, **fields)
    return replace(ready, **parts)


def test_of_two_reasons_the_one_that_matters_more_is_said() -> None:
    for (sooner, reason, _), (later, _, _) in pairwise(REASONS):
        assert no(merged(sooner, later)).why.reason is reason


def test_reasons_say_until_when_and_how_much() -> None:
    assert no(a_state(sharing=Sharing(on=True, snoozed_until=LATER))).why.until == LATER
    assert no(a_state(settings=Settings(schedule=OFF_UNTIL_ONE))).why.until == LATER
    assert no(a_state(gpu=a_gpu(reading=a_reading(temperature=91)))).why.detail == "91"
    assert no(a_state(readiness=a_readiness(level=Level.NONE, fix="do this"))).why.detail == "do this"
    assert no(a_state(cooldown=Cooldown(NOON + timedelta(minutes=2), 2))).why.until == NOON + timedelta(minutes=2)
    assert no(a_state(market=a_market(rate=1))).why.detail == "45000"
    owners = a_state(settings=Settings(schedule=Schedule("a" * (WEDNESDAY_NOON + 2) + "s" * (334 - WEDNESDAY_NOON))), presence=BUSY)
    assert no(owners).why == Why(Reason.OWNER_PRESENT, LATER)


def test_a_snooze_that_is_over_is_over_even_before_the_clock_said_so() -> None:
    assert decide(a_state(sharing=Sharing(on=True, snoozed_until=NOON))) == Yes()


def test_a_locked_screen_is_an_absent_owner() -> None:
    for idle in (None, 0.0):
        assert decide(a_state(settings=Settings(schedule=AWAY), presence=Presence(idle_s=idle, locked=True))) == Yes()


def test_an_owner_counts_as_away_from_the_second_they_chose() -> None:
    at_the_edge = a_state(settings=Settings(schedule=AWAY, idle_after_s=300), presence=presence(idle_s=300.0))
    assert decide(at_the_edge) == Yes()
    assert no(replace(at_the_edge, presence=presence(idle_s=299.9))).why.reason is Reason.OWNER_PRESENT


def test_always_means_always_and_so_presence_is_not_asked() -> None:
    assert decide(a_state(presence=Presence())) == Yes()
    assert decide(a_state(presence=BUSY)) == Yes()


def test_a_battery_is_fine_when_the_owner_says_so() -> None:
    assert decide(a_state(settings=Settings(pause_on_battery=False), presence=presence(on_battery=True))) == Yes()


def test_the_vram_reserve_is_for_cards_that_say_what_they_use() -> None:
    full = a_reading(memory_used_mb=8_000)
    assert decide(a_state(gpu=a_gpu(device=a_practice_device(), tier=Tier.PRACTICE, reading=full))) == Yes()
    assert decide(a_state(gpu=a_gpu(reading=a_reading(memory_used_mb=None)))) == Yes()
    assert decide(a_state(gpu=a_gpu(reading=a_reading(memory_used_mb=24_564 - 512)))) == Yes()
    assert no(a_state(gpu=replace(a_gpu(reading=full), device=None))).why.reason is Reason.NO_GPU


def test_a_cool_down_from_before_the_clock_was_set_back_does_not_last_for_days() -> None:
    assert no(a_state(cooldown=Cooldown(NOON + COOLDOWN_MOST, 5))).why.reason is Reason.COOLING_DOWN
    assert decide(a_state(cooldown=Cooldown(NOON + COOLDOWN_MOST + timedelta(seconds=1), 5))) == Yes()
    assert decide(a_state(cooldown=Cooldown(NOON, 5))) == Yes()


def test_sharing_is_never_at_a_loss() -> None:
    """450 W at ten cents a kWh are 4.5 cents; the owner's floor comes on top."""
    state = a_state(settings=Settings(tariff=100_000, floor=Rate(200_000)))
    assert asking(state) == 245_000
    assert worth(state, Rate(245_000)) and not worth(state, Rate(244_999))
    assert decide(replace(state, market=a_market(rate=245_000))) == Yes()
    assert no(replace(state, market=a_market(rate=244_999))).why == Why(Reason.PRICE_BELOW_FLOOR, detail="245000")


def test_the_draw_is_measured_while_a_task_runs_and_else_the_boards() -> None:
    measured = a_gpu(reading=a_reading(watts=300))
    assert watts(a_state(gpu=measured)) == 450
    assert watts(a_state(gpu=measured, task=a_task())) == 300
    assert watts(a_state(gpu=a_gpu(reading=a_reading(watts=None)), task=a_task())) == 450
    assert watts(a_state(gpu=replace(a_gpu(), device=None))) == 0


def test_a_number_on_chain_belongs_to_one_device() -> None:
    assert registered(a_state())
    assert registered(a_state(gpu=replace(a_gpu(), device=None)))  # not looked for yet
    assert registered(a_state(gpu=replace(a_gpu(), registered="")))  # saved by a version that did not note it
    assert not registered(a_state(gpu=replace(a_gpu(), registered="GPU-0")))
    assert not registered(a_state(gpu=a_gpu(chain_id=None)))


@pytest.mark.parametrize(
    ("memory_mb", "tier"),
    [(80_000, Tier.DATACENTRE), (40_000, Tier.DATACENTRE), (39_999, Tier.LARGE), (12_288, Tier.MEDIUM), (6_144, Tier.SMALL), (4_096, None)],
)
def test_a_cards_memory_says_its_tier(memory_mb: int, tier: Tier | None) -> None:
    assert tier_of(a_device(memory_mb=memory_mb)) is tier
    assert tier_of(a_device(kind=DeviceKind.PRACTICE, memory_mb=memory_mb)) is Tier.PRACTICE
