"""The machine that most of the flow tests begin with; the others make their own of this name."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.house import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    one = House(tmp_path / "owner")
    one.start("agent", "--no-keyring")
    yield one
    one.close()
