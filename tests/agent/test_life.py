"""The agent's beginning and end: one per profile, a signal is the owner's quit, and a dead engine is the end of the agent.

Its whole life with a market and a chain is in `flows/`. Here it knows of no network, so that nothing has to start first.
"""

import asyncio
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from desktop_app import engine as engine_module
from desktop_app.__main__ import main
from desktop_app.adapters.keys import Keys
from desktop_app.agent.life import Life
from desktop_app.core import messages as m
from desktop_app.core.effects import Effect
from desktop_app.core.state import State
from desktop_app.core.update import update
from desktop_app.wire.guest import Guest, NoAgent
from desktop_app.wire.profile import Profile, default

PASSPHRASE = b"a passphrase for the tests only"


@pytest.fixture
def profile(sublet_home: Path) -> Profile:
    sublet_home.mkdir(mode=0o700, parents=True)
    (sublet_home / "settings.json").write_text(json.dumps({"network": "nowhere"}))
    return default()


def life(profile: Profile) -> Life:
    return Life(profile, Keys(profile.keys, lambda: bytearray(PASSPHRASE), n=2**12), unattended=True)


def told(state: State) -> list[str]:
    return [notice.detail for notice in state.notices]


async def test_a_network_that_nobody_knows_is_said_and_the_rest_goes_on(profile: Profile) -> None:
    one = life(profile)
    living = asyncio.create_task(one.live())
    async with asyncio.timeout(60):
        while not (told(one.state) and one.state.wallet.ready and one.state.gpu.device):
            await asyncio.sleep(0.02)
    assert "There is no network in nowhere.toml." in told(one.state)[0]
    one.post(m.OwnerQuit())
    await asyncio.wait_for(living, 60)
    assert not profile.socket.exists()


async def test_a_quit_said_before_there_was_an_engine_is_heard(profile: Profile) -> None:
    one = life(profile)
    one.post(m.OwnerQuit())
    await asyncio.wait_for(one.live(), 60)


async def test_a_dead_engine_ends_the_agent(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    """With it ends the worker; an agent that lived on would hold the GPU and hear nothing."""

    def mistaken(state: State, message: m.Message) -> tuple[State, tuple[Effect, ...]]:
        if isinstance(message, m.OwnerDismissedNotices):
            raise ZeroDivisionError("a bug in an update")
        return update(state, message)

    monkeypatch.setattr(engine_module, "update", mistaken)
    one = life(profile)
    living = asyncio.create_task(one.live())
    async with asyncio.timeout(60):
        while not one.state.gpu.device:
            await asyncio.sleep(0.02)
    one.post(m.OwnerDismissedNotices())
    with pytest.raises(ZeroDivisionError, match="a bug in an update"):
        await asyncio.wait_for(living, 60)
    assert not profile.socket.exists()


async def test_what_was_said_is_remembered(profile: Profile) -> None:
    one = life(profile)
    one.post(m.OwnerChangedSettings((("floor", 654_321),)))
    one.post(m.OwnerQuit())
    await asyncio.wait_for(one.live(), 60)
    assert json.loads(profile.settings.read_text())["floor"] == 654_321


def test_a_second_agent_is_refused_in_words(profile: Profile, capsys: pytest.CaptureFixture[str]) -> None:
    with profile.lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert main(["agent", "--no-keyring"]) == 1
    assert capsys.readouterr().err == "Sublet's agent is already running.\nSee how it does with: sublet status\n"
    assert not profile.socket.exists()


@contextmanager
def process(profile: Profile) -> Iterator["subprocess.Popen[str]"]:
    secret = profile.root / "passphrase"
    secret.touch(0o600)
    secret.write_bytes(PASSPHRASE)
    command = [sys.executable, "-m", "desktop_app", "agent", "--no-keyring"]
    environment = os.environ | {"SUBLET_PASSPHRASE_FILE": str(secret)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            if child.poll() is None:
                child.kill()


def met(profile: Profile) -> Guest:
    end = time.monotonic() + 60
    while True:
        try:
            return Guest(profile.socket)
        except NoAgent:
            assert time.monotonic() < end
            time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_stop_is_the_owners_quit(profile: Profile, number: signal.Signals) -> None:
    with process(profile) as child:
        with met(profile) as guest:
            child.send_signal(number)
            assert guest.wait_for_end(60)
            assert guest.state.sharing.quitting
        assert child.wait(60) == 0
        assert child.communicate() == ("", "")
    assert not profile.socket.exists()


def test_a_killed_agents_lock_and_socket_stand_in_nobodys_way(profile: Profile) -> None:
    with process(profile) as child:
        met(profile).__exit__(None, None, None)
        child.kill()
        child.wait()
    assert profile.socket.exists()
    with process(profile) as child:
        with met(profile) as guest:
            guest.post(m.OwnerQuit())
            assert guest.wait_for_end(60)
        assert child.wait(60) == 0


def test_two_agents_at_once_are_one(profile: Profile) -> None:
    with process(profile) as first:
        with met(profile) as guest, process(profile) as second:
            out, err = second.communicate(timeout=60)
            assert (second.returncode, out) == (1, "")
            assert err.startswith("Sublet's agent is already running.")
            guest.post(m.OwnerQuit())
            assert guest.wait_for_end(60)
        assert first.wait(60) == 0
