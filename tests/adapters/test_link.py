"""The agent's socket, spoken to for real: private, deaf to nonsense, patient with the slow, and silent about secrets."""

import asyncio
import contextlib
import logging
import os
import resource
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from desktop_app.adapters.link import GUESTS_MOST, PUBLISH_EVERY_S
from desktop_app.core import messages as m
from desktop_app.core.schedule import Zone
from desktop_app.core.state import State
from desktop_app.wire import codec, link
from tests.adapters.link_ends import SECRET, Agent, eventually, floor, frame, opened
from tests.builders import NOON, a_record, a_state


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    async with opened(tmp_path) as agent:
        yield agent


async def test_a_guest_is_greeted_and_shown_the_state(agent: Agent) -> None:
    guest = await agent.guest()
    assert await guest.next() == link.Hello(link.VERSION, os.getpid())
    assert await guest.next() == link.Snapshot(agent.state)


async def test_a_guest_sees_what_changes(agent: Agent) -> None:
    guest = await agent.guest()
    await guest.until(lambda state: True)
    agent.show(floor(agent.state, 5))
    assert (await guest.until(lambda state: state.settings.floor == 5)) == agent.state


async def test_an_agent_without_news_says_hello_again(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "BEAT_S", 0.1)
    guest = await agent.guest()
    greeting = link.Hello(link.VERSION, os.getpid())
    assert [await guest.next() for _ in range(4)] == [greeting, link.Snapshot(agent.state), greeting, greeting]
    agent.show(floor(agent.state, 5))
    assert (await guest.until(lambda state: state.settings.floor == 5)) == agent.state


async def test_many_changes_at_once_are_shown_as_the_last_one(agent: Agent) -> None:
    guest = await agent.guest()
    await guest.until(lambda state: True)
    for amount in range(1, 200):
        agent.show(floor(agent.state, amount))
    seen = 1
    while (await guest.until(lambda state: True)).settings.floor != 199:
        seen += 1
    assert seen <= 2


async def test_an_owners_words_reach_the_inbox_in_their_order(agent: Agent) -> None:
    guest = await agent.guest()
    changed = m.OwnerChangedSettings((("floor", 3),))
    words: list[m.OwnerMessage] = [m.OwnerTurnedSharing(on=True), m.OwnerAskedFinish(), changed, m.OwnerQuit()]
    data = link.encode_hello(1) + b"".join(link.encode_message(word) for word in words)
    for start in range(0, len(data), 7):
        guest.say(data[start : start + 7])
        await guest.writer.drain()
    await eventually(lambda: len(agent.inbox) == 4)
    assert agent.inbox == words


async def test_words_said_just_before_hanging_up_are_heard(agent: Agent) -> None:
    guest = await agent.guest()
    guest.say(link.encode_message(m.OwnerTurnedSharing(on=False)))
    guest.writer.close()
    await eventually(lambda: agent.inbox)


NONSENSE = {
    "no json": frame(b"hello?"),
    "no frame": frame(b"{}"),
    "an unknown frame": frame(b'{"frame":"gossip"}'),
    "an unknown field": frame(b'{"frame":"hello","mood":"good"}'),
    "an adapter's word": frame(b'{"frame":"post","message":' + codec.encode_message(m.ClockTicked(NOON, Zone())) + b"}"),
    "an unknown word": frame(b'{"frame":"post","message":{"message":"OwnerStole","body":{}}}'),
    "a post without a word": frame(b'{"frame":"post"}'),
    "a word that does not fit": frame(b'{"frame":"post","message":{"message":"OwnerTurnedSharing","body":{"on":"yes"}}}'),
    "a secret that is no text": frame(b'{"frame":"secret","purpose":"unlock","secret":5}'),
    "a deep hole": frame(b'{"frame":"post","message":' + b"[" * 60_000),
    "no letters": frame(b"\xff\xfe\x00"),
    "too long": struct.pack(">I", link.MAX_FROM_GUEST + 1),
    "far too long": b"\xff" * 64,
}


@pytest.mark.parametrize("nonsense", NONSENSE.values(), ids=NONSENSE.keys())
async def test_nonsense_costs_its_speaker_the_connection_and_nobody_else(agent: Agent, nonsense: bytes) -> None:
    fool, other = await agent.guest(), await agent.guest()
    await other.until(lambda state: True)
    fool.say(nonsense)
    assert await fool.hung_up()
    agent.show(floor(agent.state, 9))
    await other.until(lambda state: state.settings.floor == 9)
    other.say(link.encode_message(m.OwnerTurnedSharing(on=True)))
    await eventually(lambda: agent.inbox)
    assert agent.inbox == [m.OwnerTurnedSharing(on=True)] and agent.secrets == []


async def test_a_frame_that_never_ends_is_only_waited_for(agent: Agent) -> None:
    guest = await agent.guest()
    guest.say(struct.pack(">I", 1_000) + b"{")
    guest.writer.write_eof()
    assert await guest.hung_up() and agent.inbox == []


async def test_what_the_agent_says_is_not_taken_from_a_guest(agent: Agent) -> None:
    guest = await agent.guest()
    guest.say(link.encode_snapshot(State()) + link.encode_answer(ok=True) + link.encode_message(m.OwnerQuit()))
    await eventually(lambda: agent.inbox)
    assert agent.inbox == [m.OwnerQuit()] and agent.state == a_state()


async def test_a_guest_of_another_version_is_told(agent: Agent) -> None:
    guest = await agent.guest()
    guest.say(link.encode_hello(1).replace(b'"version":1', b'"version":9'))
    while not isinstance(said := await guest.next(), link.Answer):
        assert said is not None
    assert not said.ok and "another version" in said.detail


async def test_a_secret_goes_to_the_keyhole_and_nowhere_else(agent: Agent, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    guest = await agent.guest()
    guest.say(link.encode_secret("unlock", SECRET) + link.encode_secret("spend", SECRET) + link.encode_message(m.OwnerQuit()))
    answers: list[link.Frame] = []
    while len(answers) < 2:
        said = await guest.next()
        assert said is not None and SECRET not in repr(said)
        answers += [said] if isinstance(said, link.Answer) else []
    await eventually(lambda: agent.inbox)
    assert answers == [link.Answer(ok=True), link.Answer(ok=False, detail="wrong passphrase")]
    assert agent.secrets == [("unlock", SECRET.encode()), ("spend", SECRET.encode())]
    assert agent.inbox == [m.OwnerQuit()]
    assert SECRET not in caplog.text and SECRET not in repr(link.Secret("unlock", SECRET)) + str(link.Secret("unlock", SECRET))


async def test_a_secret_in_a_broken_frame_is_not_repeated_in_the_error(agent: Agent, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    broken = b'{"frame":"secret","purpose":"unlock","secret":"' + SECRET.encode() + b'"'
    guest = await agent.guest()
    guest.say(frame(broken))
    assert await guest.hung_up()
    with pytest.raises(link.BrokenFrame) as caught:
        link.Frames().feed(frame(broken))
    chain: BaseException | None = caught.value
    while chain is not None:
        assert SECRET not in f"{chain!r} {chain}"
        chain = chain.__cause__ or chain.__context__
    assert SECRET not in caplog.text and agent.secrets == []


async def test_the_seventeenth_guest_is_turned_away_until_another_leaves(agent: Agent) -> None:
    guests = [await agent.guest() for _ in range(GUESTS_MOST)]
    for guest in guests:
        await guest.until(lambda state: True)
    assert await (await agent.guest()).hung_up()
    guests[0].writer.close()
    await guests[0].writer.wait_closed()
    for _ in range(100):
        late = await agent.guest()
        if await late.next() is not None:
            break
    else:
        raise AssertionError("there is room, and still nobody is let in")
    agent.show(floor(agent.state, 2))
    await guests[1].until(lambda state: state.settings.floor == 2)


async def test_a_guest_that_does_not_read_keeps_nobody_waiting_and_gets_the_newest_in_the_end(agent: Agent) -> None:
    """Its backlog is bounded, however often the state changes, and the last state reaches it without another change."""
    agent.state = a_state(history=tuple(a_record(f"t{number}") for number in range(400)))
    deaf = socket.socket(socket.AF_UNIX)
    deaf.setblocking(False)
    with deaf:
        await asyncio.get_running_loop().sock_connect(deaf, str(agent.path))
        quick = await agent.guest()
        for amount in range(1, 12):
            agent.show(floor(agent.state, amount))
            await quick.until(lambda state, amount=amount: state.settings.floor == amount)  # type: ignore[misc]
        frames, read = link.Frames(), 0
        seen: list[int] = []
        while not seen or seen[-1] != 11:
            data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(deaf, 1 << 16), 5)
            read += len(data)
            seen += [one.state.settings.floor for one in frames.feed(data) if isinstance(one, link.Snapshot)]
        assert len(seen) < 12 and read < 4 * len(link.encode_snapshot(agent.state)) + (1 << 20)


async def test_a_guest_that_waits_for_a_secret_to_be_tried_still_sees_the_state(agent: Agent) -> None:
    guest = await agent.guest()
    await guest.until(lambda state: True)
    guest.say(link.encode_secret("unlock", SECRET))
    agent.show(floor(agent.state, 3))
    await guest.until(lambda state: state.settings.floor == 3)


async def test_at_the_end_guests_see_the_last_state_and_then_the_end(tmp_path: Path) -> None:
    async with opened(tmp_path) as agent:
        guest = await agent.guest()
        await guest.until(lambda state: True)
        agent.show(floor(agent.state, 1))
        agent.show(floor(agent.state, 77))
        await agent.link.close()
        await guest.until(lambda state: state.settings.floor == 77)
        assert await guest.hung_up()


async def test_a_guest_that_does_not_read_cannot_hold_up_the_end(tmp_path: Path) -> None:
    async with opened(tmp_path) as agent:
        agent.state = a_state(history=tuple(a_record(f"t{number}") for number in range(400)))
        with socket.socket(socket.AF_UNIX) as deaf:
            deaf.connect(str(agent.path))
            for amount in range(5):
                agent.show(floor(agent.state, amount))
                await asyncio.sleep(0.12)
            await asyncio.wait_for(agent.link.close(), 3)


async def test_a_guest_is_let_go_in_the_very_moment_of_news(agent: Agent) -> None:
    guest = await agent.guest()
    await guest.until(lambda state: True)
    await asyncio.sleep(2 * PUBLISH_EVERY_S)  # until nothing but news is waited for
    (serving,) = agent.link._guests.values()
    agent.show(floor(agent.state, 5))
    serving.cancel()
    await asyncio.wait((serving,), timeout=10)
    assert serving.done()
    assert await guest.hung_up()


async def test_closing_a_link_that_never_opened_is_nothing(tmp_path: Path) -> None:
    await Agent(tmp_path / "agent.sock").link.close()


async def test_guests_that_come_and_go_leave_no_file_open(agent: Agent) -> None:
    def files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = files()
    for number in range(60):
        guest = await agent.guest()
        if number % 3 == 0:
            guest.say(b"\xff" * 8)
            await guest.hung_up()
        elif number % 3 == 1:
            await guest.next()
        guest.writer.close()
        with contextlib.suppress(ConnectionError):
            await guest.writer.wait_closed()
    await eventually(lambda: files() <= before)


async def test_a_guest_that_finds_no_file_left_is_let_in_when_there_is_one(agent: Agent) -> None:
    with socket.socket(socket.AF_UNIX) as early:
        early.setblocking(False)
        most = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest_free = os.dup(early.fileno())
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, most[1]))
        try:
            early.connect(str(agent.path))
            await asyncio.sleep(0.15)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, most)
        data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(early, 1 << 16), 5)
        assert link.Frames().feed(data)[0] == link.Hello(link.VERSION, os.getpid())


async def test_a_whole_week_fits_a_guests_frame(agent: Agent) -> None:
    guest = await agent.guest()
    week = m.OwnerChangedSettings((("schedule", "a" * 336),))
    guest.say(link.encode_message(week))
    await eventually(lambda: agent.inbox)
    assert agent.inbox == [week]
