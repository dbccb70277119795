"""What tests of several adapters stand on: a desktop's two buses, and the driver of a real card."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from desktop_app.adapters.nvml import Nvml
from tests.fakes.dbus import FakeBus, fake_bus


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[FakeBus]:
    """The session's."""
    with fake_bus(tmp_path / "session") as one:
        yield one


@pytest.fixture
def system(tmp_path: Path) -> Iterator[FakeBus]:
    with fake_bus(tmp_path / "system") as one:
        yield one


@pytest.fixture
def nvml() -> Iterator[Nvml]:
    """Held open; for tests that only a real card runs."""
    one = Nvml()
    assert one.open()
    yield one
    one.close()
