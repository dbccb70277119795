"""Every verb of the command line but those about the wallet's secret and its money, which `test_cli_money.py` tries.

In process against the agent's own engine and socket, whose world is a script, and as a process. What the verbs do on a real
machine is walked in `flows/test_road.py`.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from desktop_app import cli
from desktop_app.__main__ import main
from desktop_app.core import messages as m
from desktop_app.core.presence import Presence
from desktop_app.core.schedule import Zone
from desktop_app.core.state import Sharing
from desktop_app.wire import link
from desktop_app.wire.profile import default
from tests import builders
from tests.scripted_agent import Agent, Capsys, away, paying, still
from tests.ui import engine as scripted

# --- nobody there, another version, misuse


@pytest.mark.parametrize("verb", [["status"], ["share", "on"], ["pause", "15m"], ["finish"], ["wallet"], ["tasks"], ["doctor"], ["quit"]])
def test_without_an_agent_every_verb_says_so(verb: list[str], capsys: Capsys) -> None:
    assert main(verb) == 3
    assert capsys.readouterr() == ("", "No agent is running.\nStart it with: sublet agent\n")


def test_a_socket_that_a_killed_agent_left_is_no_agent(capsys: Capsys) -> None:
    with scripted.Engine(default().socket, away()):
        pass
    assert default().socket.exists()
    assert main(["status"]) == 3
    assert "No agent is running." in capsys.readouterr().err


@pytest.mark.parametrize(
    "hello",
    [
        link.encode_hello(1).replace(b'"version":1', b'"version":2'),
        link.encode_hello(1).replace(b'"frame":"hello"', b'"frame":"howdy"'),
        b"\xff\xff\xff\xff",
    ],
)
def test_an_agent_of_another_version_is_named_so(hello: bytes, capsys: Capsys) -> None:
    with scripted.Engine(default().socket, None, hello):
        assert main(["status"]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("The agent that is running is of another version.")


def test_an_agent_that_shows_nothing_is_not_waited_for_for_ever(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("desktop_app.wire.guest.CONNECT_S", 0.3)
    with scripted.Engine(default().socket, None):
        assert main(["status"]) == 3
    assert "did not say how things stand" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["juggle"], ["share"], ["share", "maybe"], ["pause"], ["cash-out"], ["status", "--so"], ["tasks", "x"]])
def test_what_is_no_verb_is_misuse(words: list[str], capsys: Capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "usage: sublet" in capsys.readouterr().err


@pytest.mark.parametrize("span", ["", "m", "15", "15x", "0m", "-5m", "1.5h", "31d", "²m", "٣m", "9" * 5000 + "m", "tomorrow", "15 m"])
def test_what_is_no_span_pauses_nothing(span: str, capsys: Capsys) -> None:
    with Agent(away(), still) as agent:
        assert main(["pause", "--", span]) == 2
    assert "is no pause: say 15m" in capsys.readouterr().err
    assert agent.state.sharing.snoozed_until is None


# --- verbs that change something


def test_sharing_is_turned_on_and_off(capsys: Capsys) -> None:
    with Agent(away(), still) as agent:
        assert main(["share", "on"]) == 0
        assert "looking whether you use the computer" in capsys.readouterr().out
        agent.post(m.PresenceSensed(Presence()))
        assert main(["share", "on"]) == 0
        assert "waits for the next task" in capsys.readouterr().out
        assert main(["share", "off"]) == 0
        assert capsys.readouterr().out == "Sharing is off; turn it on to earn while you are away.\n"
    assert agent.state.sharing == Sharing()


@pytest.mark.parametrize(
    ("span", "lasts"), [("15m", timedelta(minutes=15)), ("1h", timedelta(hours=1)), ("2d", timedelta(days=2)), ("30d", timedelta(days=30))]
)
def test_a_pause_lasts_as_long_as_was_said(span: str, lasts: timedelta, capsys: Capsys) -> None:
    with Agent(away(sharing=Sharing(on=True)), still) as agent:
        before = datetime.now(UTC)
        assert main(["pause", span]) == 0
        after = datetime.now(UTC)
        assert "you paused it" in capsys.readouterr().out
    until = agent.state.sharing.snoozed_until
    assert until is not None
    assert before <= until - lasts <= after


def noon() -> Zone:
    """Somewhere, on some meridian, it is noon: so that no test is about tomorrow while tomorrow begins."""
    now = datetime.now(UTC)
    return Zone("noon", (12 * 60 - (now.hour * 60 + now.minute) // 15 * 15) * 60)


def test_until_tomorrow_is_six_in_the_morning_and_over_ends_it(capsys: Capsys) -> None:
    with Agent(away(sharing=Sharing(on=True), zone=noon()), still) as agent:
        assert main(["pause", "until-tomorrow"]) == 0
        assert "Not sharing until 06:00 tomorrow: you paused it." in capsys.readouterr().out
        assert main(["pause", "over"]) == 0
        assert "waits for the next task" in capsys.readouterr().out
    assert agent.state.sharing.snoozed_until is None


def test_finishing_without_a_task_is_stopping_and_with_one_is_waiting_for_it(capsys: Capsys) -> None:
    with Agent(away(sharing=Sharing(on=True)), still) as agent:
        assert main(["finish"]) == 0
    assert not agent.state.sharing.on
    capsys.readouterr()
    task = builders.a_task()
    with Agent(away(sharing=Sharing(on=True), task=task), still) as agent:
        assert main(["finish"]) == 0
    assert agent.state.sharing.finishing
    assert "No new tasks: you asked to stop after this one." in capsys.readouterr().out


def test_an_agent_that_takes_no_word_is_reported(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "ANSWER_PATIENCE_S", 0.3)
    with scripted.Engine(default().socket, away()):
        assert main(["share", "on"]) == 1
    assert capsys.readouterr().err == "The agent did not take it.\n"


def test_quit_says_goodbye_only_when_the_agent_has_gone(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    with Agent(away(), paying):
        assert main(["quit"]) == 0
    assert capsys.readouterr().out == "Sublet has ended. Your GPU is yours.\n"
    monkeypatch.setattr(cli, "QUIT_PATIENCE_S", 0.3)
    with scripted.Engine(default().socket, away()):
        assert main(["quit"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "has not ended yet" in err


# --- as a process


@contextmanager
def process(*words: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "desktop_app", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            if child.poll() is None:
                child.kill()


def test_whoever_has_read_enough_is_left_in_peace() -> None:
    line = replace(builders.a_record(), metrics=tuple((f"figure{number}", float(number)) for number in range(20)))
    many = away(history=tuple(replace(line, task_id=f"{number:024x}") for number in range(400)))
    with Agent(many, still) as agent:
        for verb in (("tasks",), ("status", "--json"), ("status", "--watch", "--json")):
            reader, writer = os.pipe()
            os.close(reader)
            with subprocess.Popen(
                [sys.executable, "-m", "desktop_app", *verb], stdout=writer, stderr=subprocess.PIPE, text=True
            ) as child:
                os.close(writer)
                _out, err = child.communicate(timeout=60)
            assert (child.returncode, err) == (0, ""), verb
        assert agent.state is not None


def test_a_watcher_is_stopped_without_a_trace() -> None:
    with Agent(away(), still), process("status", "--watch") as child:
        assert child.stdout is not None
        assert "Sharing is off" in child.stdout.readline()
        child.send_signal(signal.SIGINT)
        _out, err = child.communicate(timeout=60)
        assert (child.returncode, err) == (130, "")


def test_the_passphrase_is_never_an_argument() -> None:
    for verb in ("unlock", "cash-out"):
        shown = subprocess.run([sys.executable, "-m", "desktop_app", verb, "--help"], capture_output=True, text=True, check=True)
        assert "assphrase" not in shown.stdout.replace("Give the wallet's passphrase", "")
