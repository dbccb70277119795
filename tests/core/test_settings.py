"""Every setting is declared once, and what is out of range is refused with a reason."""

from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desktop_app.core.schedule import Schedule
from desktop_app.core.settings import SETTINGS, Refused, Settings, Value, app_names, change, is_address
from tests.builders import ADDRESS


def test_every_field_is_declared_and_means_something() -> None:
    assert [setting.name for setting in SETTINGS] == [field.name for field in fields(Settings)]
    assert all(setting.meaning.endswith(".") for setting in SETTINGS)


def test_the_defaults_lie_within_their_own_ranges() -> None:
    for setting in SETTINGS:
        value = getattr(Settings(), setting.name)
        assert change(Settings(), setting.name, value.cells if isinstance(value, Schedule) else value) == Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("network", "base"),
        ("floor", 0),
        ("floor", 1_000_000_000),
        ("tariff", 10_000_000),
        ("idle_after_s", 30),
        ("temperature_limit", 110),
        ("vram_reserve_mb", 0),
        ("pause_on_battery", False),
        ("apps", "hades\nblender"),
        ("apps", "\n".join(["x" * 100] * 50)),
        ("payout_address", ADDRESS),
        ("autostart", True),
        ("notifications", False),
    ],
)
def test_a_value_in_range_is_taken_and_nothing_else_changes(name: str, value: Value) -> None:
    changed = change(Settings(payout_address="0x" + "11" * 20), name, value)
    assert changed == replace(Settings(payout_address="0x" + "11" * 20), **{name: value})  # type: ignore[arg-type]


def test_a_payout_address_can_be_taken_back() -> None:
    assert change(Settings(payout_address=ADDRESS), "payout_address", "") == Settings()


def test_a_week_is_painted_as_one_string() -> None:
    assert change(Settings(), "schedule", "a" * 336) == Settings(schedule=Schedule("a" * 336))


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("no_such_thing", 1, "no such setting"),
        ("floor", -1, "between 0 and 1000000000"),
        ("floor", 1_000_000_001, "between"),
        ("floor", True, "int, not a bool"),
        ("floor", "1", "int, not a str"),
        ("idle_after_s", 29, "between 30 and 86400"),
        ("pause_on_battery", 1, "bool, not a int"),
        ("network", 1, "str, not a int"),
        ("network", "../base", "small letters"),
        ("network", "", "small letters"),
        ("network", "a" * 41, "small letters"),
        ("schedule", "s" * 335, "336 letters"),
        ("schedule", 5, "336 letters"),
        ("apps", "x" * 101, "at most 50 programs, each with a name of at most 100 letters"),
        ("apps", "\n".join(map(str, range(51))), "at most 50 programs"),
        ("apps", "hades\tdoom", "unprintable"),
        ("apps", "hades\r\ndoom", "unprintable"),
        ("payout_address", "0x12", "40 hexadecimal digits"),
        ("payout_address", "0x" + "g" * 40, "40 hexadecimal digits"),
        ("payout_address", 5, "str, not a int"),
        ("payout_address", 0, "str, not a int"),
        ("payout_address", "0x" + "0" * 40, "gone for ever"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_the_reason(name: str, value: Value, reason: str) -> None:
    outcome = change(Settings(), name, value)
    assert isinstance(outcome, Refused) and outcome.name == name
    assert reason in outcome.reason


@settings(deadline=None)
@given(st.sampled_from([setting.name for setting in SETTINGS]), st.one_of(st.booleans(), st.integers(), st.text(max_size=50)))
def test_no_value_breaks_the_settings(name: str, value: Value) -> None:
    outcome = change(Settings(), name, value)
    if isinstance(outcome, Settings):
        assert type(getattr(outcome, name)) is type(getattr(Settings(), name))


def test_the_list_of_programs_is_read_without_blanks_and_repeats() -> None:
    assert app_names(Settings(apps=" hades \n\nblender\nhades\n")) == ("hades", "blender")
    assert app_names(Settings()) == ()


def test_an_address_is_known_by_its_spelling() -> None:
    assert is_address(ADDRESS) and is_address("0x" + "Ab" * 20)
    assert not is_address("12" * 21) and not is_address(ADDRESS + "0") and not is_address(0)
