"""What every test gets: a home of its own, a real desktop when it asks for one, and a check that it left nothing running.

The real home, the real screen and the real keyring of whoever runs the tests are out of reach from the first import on.
"""

import atexit
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.desktop import Desktop, open_desktop
from tests.leaks import leak_check

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication

# how long an example takes says more of the machine than of us; and the same commit is tried with the same examples wherever it is
# tried, while new ones are looked for with: python -m pytest --hypothesis-profile=search
settings.register_profile("sublet", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=1_000)
settings.load_profile("sublet")
_HOUSE = Path(tempfile.mkdtemp(prefix="sublet-test-"))
_FOLDERS = {
    "HOME": "home",
    "USERPROFILE": "home",
    "XDG_CONFIG_HOME": "home/.config",
    "XDG_DATA_HOME": "home/.local/share",
    "XDG_STATE_HOME": "home/.local/state",
    "XDG_CACHE_HOME": "home/.cache",
    "XDG_RUNTIME_DIR": "run",
    "APPDATA": "home/roaming",
    "LOCALAPPDATA": "home/local",
}


def _move_house() -> None:
    """Point every place that belongs to the person at a new empty one, for this process and all its children."""
    for variable, folder in _FOLDERS.items():
        place = _HOUSE / folder
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.environ[variable] = str(place)
    for variable in ("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "SUBLET_HOME"):
        os.environ.pop(variable, None)
    os.environ["DBUS_SESSION_BUS_ADDRESS"] = "disabled:"
    os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"
    os.environ["SUBLET_TEST_RUN"] = _HOUSE.name  # by which leaks.py knows our children's children
    atexit.register(shutil.rmtree, _HOUSE, ignore_errors=True)


_move_house()
# a run in the background of a shell would hand its deafness to the interrupt key down to the processes that tests interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """No process, thread or open file outlives its test."""
    with leak_check(os.environ["SUBLET_TEST_RUN"]):
        yield


@pytest.fixture(autouse=True)
def sublet_home(nothing_left_behind: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty profile for this test alone."""
    place = tmp_path / "profile"
    monkeypatch.setenv("SUBLET_HOME", str(place))
    return place


@pytest.fixture(scope="session")
def shared_desktop() -> Iterator[Desktop]:
    """One desktop for the whole run; tests ask for `desktop`."""
    with open_desktop() as desktop:
        yield desktop


@pytest.fixture
def desktop(shared_desktop: Desktop, monkeypatch: pytest.MonkeyPatch) -> Desktop:
    """A real X desktop with window manager and tray; processes the test starts appear on it."""
    for variable, value in shared_desktop.environment.items():
        monkeypatch.setenv(variable, value)
    return shared_desktop


@pytest.fixture(scope="session")
def qapp_environment(shared_desktop: Desktop) -> pytest.MonkeyPatch:
    """The environment in which Qt's one application object is made; afterwards it keeps its connection and needs it no more."""
    patch = pytest.MonkeyPatch()
    for variable, value in shared_desktop.environment.items():
        patch.setenv(variable, value)
    return patch


@pytest.fixture(scope="session")
def qapp(qapp_environment: pytest.MonkeyPatch, qapp: "QApplication") -> "Iterator[QApplication]":
    """pytest-qt's application, on the real desktop; gone before the desktop goes."""
    qapp_environment.undo()
    from PySide6.QtWidgets import QSystemTrayIcon

    QSystemTrayIcon.isSystemTrayAvailable()  # starts the bus thread that Qt keeps, with its descriptor, while the process lives
    yield qapp
    qapp.shutdown()
