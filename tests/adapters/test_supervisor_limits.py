"""Bounds that the kernel keeps: a scope for an ordinary user, groups for root; one that does not bite is found out."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from desktop_app.adapters.supervisor import limits
from tests.adapters.ordinary_user import as_user

pytestmark = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can become an ordinary user")


def scoped(folder: Path, wanted: str) -> str:
    home = folder / "home"
    home.mkdir()
    home.chmod(0o777)
    done: subprocess.CompletedProcess[str] = as_user(
        f"from pathlib import Path\nfrom tests.adapters.scoped import main\nmain(Path({str(home)!r}), {wanted!r})", home
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that another user can get to."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_a_scope_is_asked_for_these_bounds(place: Path) -> None:
    words = scoped(place, "words")
    for bound in ("MemoryMax=321M", "MemorySwapMax=0", "TasksMax=45", "CPUWeight=10", "IOWeight=10"):
        assert f"-p {bound}" in words


def test_nothing_of_the_way_to_systemd_is_seen_inside(place: Path) -> None:
    inside = scoped(place, "environment")
    assert "HOME=/tmp" in inside
    assert "the-owners" not in inside


def test_a_sandbox_in_a_scope_holds(place: Path) -> None:
    assert scoped(place, "tested").strip() == "isolated []"


def test_a_scope_that_bounds_nothing_is_found_out(place: Path) -> None:
    assert scoped(place, "toothless").strip() == "none ['bounded_memory']"


def test_a_group_has_the_bounds_that_were_asked_for_and_goes_with_its_worker() -> None:
    enclosure = limits.enclose(64, 17)
    if not enclosure.folders:
        pytest.skip("this machine lets root make no groups, so that only resource limits and the watchdog bound a worker")
    try:
        names = ("memory.max", "memory.limit_in_bytes", "pids.max")
        told = [(folder / name).read_text().strip() for folder in enclosure.folders for name in names if (folder / name).exists()]
        assert sorted(told) == sorted([str(64 << 20), "17"])
    finally:
        enclosure.close()
    assert not any(folder.exists() for folder in enclosure.folders)


def test_a_scope_that_is_to_end_gets_the_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its weight of ten the worker's last step would stand in line while the owner waits; our own group's weight is left alone."""
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    own = next(line.removeprefix("0::/") for line in lines if line.startswith("0::/"))
    weight = tmp_path / own / "cpu.weight"
    weight.parent.mkdir(parents=True, exist_ok=True)
    weight.write_text("10")
    monkeypatch.setattr(limits, "_MOUNTS", tmp_path)
    limits.Enclosure().hasten(os.getpid())
    assert weight.read_text() == "10"
    scope = limits.Enclosure(prefix=("systemd-run",))
    scope.hasten(os.getpid())
    assert weight.read_text() == "10000"
    weight.unlink()
    weight.mkdir()
    scope.hasten(os.getpid())  # a kernel, or a systemd, that does not let us changes nothing
