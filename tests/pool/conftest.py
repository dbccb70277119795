"""A town for each file of tests, and a place at its bench for each test."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.pool.bench import Bench, bench
from tests.pool.rig import Town, town


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with town(tmp_path_factory.mktemp("town")) as built:
        yield built


@pytest.fixture
async def here(place: Town) -> AsyncIterator[Bench]:
    async with bench(place) as opened:
        yield opened
