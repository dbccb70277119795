"""The verbs of the command line about what gives the GPU back: signals, set, give-backs. See `test_cli.py`."""

from dataclasses import replace
from datetime import timedelta

import pytest

from desktop_app.__main__ import main
from desktop_app.core.presence import Presence
from desktop_app.core.settings import SETTINGS, Settings
from desktop_app.core.signals import RULES
from desktop_app.core.state import GiveBackRecord, Halt, Mark, Sharing, State, Trigger
from desktop_app.wire import signals
from tests.scripted_agent import Agent, Capsys, away, still


def watched() -> State:
    state = away(sharing=Sharing(on=True))
    mark = Mark(Trigger.FULL_SCREEN, state.now - timedelta(minutes=5))
    looked = Presence(idle_s=400.0, full_screen=False, apps=("hades",), on_battery=False)
    return replace(state, looked=True, signals=(mark,), presence=looked, settings=replace(state.settings, apps="hades\nblender"))


@pytest.mark.parametrize("verb", [["signals"], ["set"], ["give-backs"]], ids=" ".join)
def test_without_an_agent_they_say_so(verb: list[str], capsys: Capsys) -> None:
    assert main(verb) == 3
    assert "No agent is running." in capsys.readouterr().err


def test_every_signal_is_listed_with_its_switch_its_word_and_its_last_time(capsys: Capsys) -> None:
    with Agent(watched(), still):
        assert main(["signals"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert err == "" and len(lines) == len(RULES) + 2
    assert "on      full-screen     a window fills the screen: no (last: 5 min ago)" in lines
    assert "on      apps            a program of my list runs: hades (last: just now)" in lines
    assert "on      game-mode       a game asks for GameMode: not told by this system (last: never)" in lines
    assert "always  heat            the GPU is too hot: 45 °C (last: never)" in lines
    assert lines[-1] == "Programs that get the GPU: hades, blender"


def test_every_signal_goes_by_a_name_of_its_own() -> None:
    names = [signals.verb(rule) for rule in RULES]
    assert len(set(names)) == len(names) and all(signals.by_verb(name) is rule for name, rule in zip(names, RULES, strict=True))
    assert signals.by_verb("juggling") is None


def test_a_signal_is_shown_turned_off_and_on_again(capsys: Capsys) -> None:
    with Agent(watched(), still) as agent:
        assert main(["signals", "full-screen"]) == 0
        assert main(["signals", "full-screen", "off"]) == 0
        assert main(["signals", "full-screen"]) == 0
        assert main(["signals", "full-screen", "on"]) == 0
    assert agent.state.settings.pause_on_full_screen
    first, off, second, on = capsys.readouterr().out.splitlines()
    assert first.startswith("on ") and second.startswith("off ")
    assert (off, on) == ("pause_on_full_screen = off", "pause_on_full_screen = on")


def test_what_protects_the_card_cannot_be_turned_off(capsys: Capsys) -> None:
    with Agent(watched(), still):
        assert main(["signals", "heat", "off"]) == 1
        assert main(["signals", "juggling", "off"]) == 2
    err = capsys.readouterr().err
    assert "heat protects your card and is always on." in err
    assert "'juggling' is no signal: gpu-fault, gpu-lost, battery," in err


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        ("idle-after-s", "120", 120),
        ("temperature_limit", "75", 75),
        ("keep-awake", "off", False),
        ("floor", "0.12", 120_000),
        ("tariff", "$0.31", 310_000),
        ("apps", "hades, doom ,", "hades\ndoom\n"),
        ("apps", "none", ""),
        ("schedule", "a" * 336, "a" * 336),
    ],
)
def test_a_setting_is_changed_by_name(name: str, typed: str, value: object, capsys: Capsys) -> None:
    with Agent(watched(), still) as agent:
        assert main(["set", name, typed]) == 0
        assert main(["set", name]) == 0
    kept = getattr(agent.state.settings, name.replace("-", "_"))
    assert (kept.cells if name == "schedule" else kept) == value
    told, shown = capsys.readouterr().out.splitlines()
    assert told == f"{name.replace('-', '_')} = {shown}"


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["idle-after-s", "soon"], 2, "'soon' is no whole number."),
        (["idle-after-s", "٣"], 2, "is no whole number."),
        (["idle-after-s", "9" * 13], 2, "is no whole number."),
        (["floor", "much"], 2, "'much' is no amount in dollars."),
        (["keep-awake", "perhaps"], 2, "'perhaps' is no switch: say on or off."),
        (["mood", "good"], 2, "'mood' is no setting; see them all with: sublet set"),
        (["temperature-limit", "20"], 1, "temperature_limit was not changed: this lies between 40 and 110."),
        (["apps", "x" * 101], 1, "apps was not changed: this is at most 50 programs"),
        (["schedule", "now"], 1, "schedule was not changed: a schedule is 336 letters"),
    ],
)
def test_a_value_that_is_none_is_refused_with_its_reason(words: list[str], status: int, said: str, capsys: Capsys) -> None:
    before = watched()
    with Agent(before, still) as agent:
        assert main(["set", *words]) == status
    assert said in capsys.readouterr().err and agent.state.settings == before.settings


def test_an_agent_that_does_not_take_it_is_told_of(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("desktop_app.cli.signals.PATIENCE_S", 0.05)
    monkeypatch.setattr(Agent, "post", lambda self, message: None)
    with Agent(watched(), still):
        assert main(["set", "keep-awake", "off"]) == 1
    assert "The agent did not take it." in capsys.readouterr().err


def test_all_settings_are_listed_with_what_they_mean(capsys: Capsys) -> None:
    with Agent(away(), still):
        assert main(["set"]) == 0
    out = capsys.readouterr().out
    assert [line.split(" = ")[0] for line in out.splitlines()[::2]] == [setting.name for setting in SETTINGS]
    assert set(Settings.__slots__) == {setting.name for setting in SETTINGS}
    assert "pause_on_battery = on\n    Share on mains power only." in out and "apps = none" in out


def test_give_backs_are_listed_with_their_times(capsys: Capsys) -> None:
    state = away()
    at = state.now.timestamp() - 300
    record = GiveBackRecord("task-1", Trigger.PRESENCE, at, 84.0, 118.0, 0, True, 143.0, Halt.YIELDED)
    with Agent(replace(state, give_backs=(record,)), still):
        assert main(["give-backs"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "5 min ago  you came back: GPU back in 0.26 s"
    with Agent(away(), still):
        assert main(["give-backs"]) == 0
    assert capsys.readouterr().out == "None yet. Each one is kept here with its times.\n"
