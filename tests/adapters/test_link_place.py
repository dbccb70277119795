"""Where the agent's socket lies: a folder for its owner alone, made safe or refused, and taken over from one that died."""

import asyncio
import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from desktop_app.adapters.link import make_private
from desktop_app.core.errors import AppError
from desktop_app.wire import link
from tests.adapters.link_ends import Agent, opened


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    async with opened(tmp_path) as agent:
        yield agent


async def test_folder_and_socket_are_the_owners_alone(agent: Agent) -> None:
    assert stat.S_IMODE(agent.path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(agent.path.stat().st_mode) == 0o600


def test_a_folder_that_was_open_to_others_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir(mode=0o777)
    make_private(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.skipif(os.name == "nt" or os.getuid() != 0, reason="only root can make another user's folder")
async def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    os.chown(folder, 12_345, 12_345)
    with pytest.raises(AppError, match="someone else"):
        await Agent(folder / "agent.sock").link.open()


async def test_a_folder_that_is_a_link_to_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AppError, match="someone else"):
        await Agent(tmp_path / "run" / "agent.sock").link.open()


async def test_a_place_that_cannot_be_used_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(AppError, match="cannot listen"):
        await Agent(tmp_path / "run" / "agent.sock").link.open()
    (tmp_path / "run").unlink()
    (tmp_path / "run" / "agent.sock").mkdir(parents=True)
    with pytest.raises(AppError, match="cannot listen"):
        await Agent(tmp_path / "run" / "agent.sock").link.open()
    with pytest.raises(AppError, match="cannot listen"):
        await Agent(tmp_path / "run" / ("x" * 120)).link.open()


async def test_the_socket_of_an_agent_that_died_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "run" / "agent.sock"))
    async with opened(tmp_path) as agent:
        assert await (await agent.guest()).next() == link.Hello(link.VERSION, os.getpid())
    assert not agent.path.exists()


@pytest.mark.skipif(os.name == "nt" or os.getuid() != 0, reason="only root can become another user")
async def test_another_user_is_turned_away_even_if_the_folder_were_open() -> None:
    """Not in pytest's own folder, which another run beside this one shuts again."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        async with opened(Path(folder)) as agent:
            agent.path.parent.chmod(0o777)
            agent.path.chmod(0o777)
            assert await _another_user_at(agent.path) == (0, b"")


async def _another_user_at(path: Path) -> tuple[int | None, bytes]:
    """How many bytes another user was told, and what went wrong."""
    program = (
        "import os, socket, sys; os.setgid(12345); os.setuid(12345); s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); "
        "s.settimeout(5); sys.exit(len(s.recv(100)))"
    )
    child = await asyncio.create_subprocess_exec(sys.executable, "-I", "-c", program, str(path), stderr=subprocess.PIPE)
    _, error = await child.communicate()
    return child.returncode, error
