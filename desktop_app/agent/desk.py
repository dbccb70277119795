"""What the agent does at the owner's desk: keep the machine awake for a task, and look once which programs run.

Called by `agent.perform`; nothing is decided here. Both may wait for a desktop's service, and so happen in a thread.
"""

import asyncio
from collections.abc import Callable

from desktop_app.adapters.awake import Awake
from desktop_app.core.messages import Message, ProgramsListed


class Desk:
    """`programs` looks which programs the owner could put on the list of those that get the GPU."""

    def __init__(self, post: Callable[[Message], None], programs: Callable[[], tuple[str, ...]], awake: Awake) -> None:
        self._post = post
        self._programs = programs
        self._awake = awake
        self._turn = asyncio.Lock()  # words in the order in which they were said

    async def keep_awake(self, on: bool) -> None:
        """Keep the machine from sleeping, or let it again."""
        async with self._turn:
            await asyncio.to_thread(self._awake.hold if on else self._awake.release)

    async def list_programs(self) -> None:
        """Post which programs there are to choose from."""
        self._post(ProgramsListed(await asyncio.to_thread(self._programs)))
