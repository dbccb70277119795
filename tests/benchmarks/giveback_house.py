"""The house in which give-backs are timed: an agent of its own, a screen, a fake card, and what keeps every core busy.

`House.begin` has the agent work on a task, `pull` lets one signal arise at its origin and waits until the kernel says that the
worker is gone. Used by `giveback` and by its test.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

import psutil

from desktop_app.core import messages as m
from desktop_app.core.schedule import CELLS_PER_DAY, CELLS_PER_WEEK
from desktop_app.core.state import OWNER_DEADLINE_MS, GiveBackRecord, Reason, State, Trigger
from desktop_app.core.task import Phase
from desktop_app.wire.codec import encode_message
from desktop_app.wire.guest import Guest, NoAgent
from desktop_app.wire.profile import default
from tests.benchmarks import arenas
from tests.benchmarks.small_tasks import INTERVAL, Small
from tests.desktop import Desktop, open_desktop
from tests.fakes.nvml import CARD, compile_library

PATIENCE_S = 90.0
GAME = "trial-game"
_CELL_S = 1_800
_BURN = "import os\nhome = os.getppid()\nwhile os.getppid() == home: pass"
_ALWAYS, _AWAY = "s" * CELLS_PER_WEEK, "a" * CELLS_PER_WEEK


@dataclass(frozen=True)
class Trial:
    """One give-back. Milliseconds from the signal's origin: to the agent's asking, to the kernel's word that all of the worker is gone."""

    trigger: Trigger
    kind: str
    stopped: bool  # the worker was stopped before, so that it could not answer
    asked_ms: float
    gone_ms: float
    busy: float  # percent of all cores' time that was used meanwhile
    record: GiveBackRecord
    kept: Path
    step: int  # the step that the handed-back checkpoint is said to hold; 0 if there was none
    interval: int  # steps between the last two commits of a worker that was stopped, or what its task wishes if it is more


class NotBegun(Exception):
    """What was waited for did not come; the text says how things stand."""


class House:
    """Everything stands and the agent's self-test is through."""

    def __init__(self, root: Path, agent: "subprocess.Popen[bytes]", desktop: Desktop, burners: list[psutil.Popen]) -> None:
        self._root, self._agent, self._burners = root, agent, burners
        self._said: SimpleQueue[list[str]] = SimpleQueue()
        self._world = root / "world.txt"
        self._pointer = Pointer(desktop.display)
        self._count = 0
        self._strikes = 0.0  # when the schedule's window ends, by the clock on the wall
        self._reader = Thread(target=self._read, name="trial-agent", daemon=True)
        self._reader.start()
        self._guest = self._arrive()
        wishes = (("tariff", 0), ("notifications", False), ("keep_awake", False), ("idle_after_s", 1), ("apps", GAME))
        self._guest.post(m.OwnerChangedSettings(wishes))
        self.rest(True)

    def begin(self, task: Small, trigger: Trigger) -> State:
        """Have the agent work on a new task of this kind, where that signal counts, and wait until it has made steps."""
        self._count += 1
        self._strikes = (time.time() // _CELL_S + 2) * _CELL_S
        schedules = {Trigger.PRESENCE: _AWAY, Trigger.SCHEDULE: _until(self._strikes)}
        self._guest.post(m.OwnerChangedSettings((("schedule", schedules.get(trigger, _ALWAYS)),)))
        self._guest.post(m.OwnerTurnedSharing(on=False))  # the owner's own word ends every pause and quiet time
        self._until("the end", lambda state: state.task is None and state.why.reason is Reason.SHARING_OFF)
        self._guest.post(m.OwnerTurnedSharing(on=True))
        self._until("an offer", lambda state: state.why.reason is Reason.WAITING_FOR_TASK)
        self.tell(m.MarketLeased(task.lease(default().blobs, f"trial-{self._count}")))
        state = self._until("steps", _stepping, lambda: self._weigh("-15"))
        self._weigh("10")  # as the agent had put it, if it was quicker than we
        return state

    def pull(self, trigger: Trigger, kind: str, state: State, *, stop: bool = False) -> Trial:
        """Let the signal arise while every core is busy; how the give-back went."""
        assert state.task is not None
        task_id, pid = state.task.lease.manifest.task_id, state.task.pid
        handles = [os.pidfd_open(one) for one in self._tree(pid)]
        interval = INTERVAL
        if stop:
            os.kill(pid, signal.SIGSTOP)
            interval = max([INTERVAL, *(arenas.interval(one) or 0 for one in arenas.arenas(self._agent.pid))])
        psutil.cpu_percent()
        arose, undo = SIGNALS[trigger](self, task_id)
        gone = _all_gone(handles)
        busy = psutil.cpu_percent()
        self.rest(True)
        after = self._until("the record", lambda state: bool(state.give_backs) and state.give_backs[0].task_id == task_id)
        undo()
        record = after.give_backs[0]
        now, unix = time.monotonic(), time.time()
        asked = record.at - (unix - now) - arose
        step = 0 if trigger is Trigger.LEASE_LOST else self._handed_back(task_id)  # whom it went to has it already
        kept = default().root / "kept" / task_id
        return Trial(trigger, kind, stop, 1000 * asked, 1000 * (gone - arose), busy, record, kept, step, interval)

    def rest(self, on: bool) -> None:
        """Stop or resume what keeps the cores busy; a task need not be loaded under load."""
        for burner in self._burners:
            burner.send_signal(signal.SIGSTOP if on else signal.SIGCONT)

    def tell(self, message: m.Message) -> None:
        """A word of the market's."""
        self.say(encode_message(message))

    def say(self, line: bytes) -> None:
        assert self._agent.stdin is not None
        self._agent.stdin.write(line + b"\n")
        self._agent.stdin.flush()

    def close(self) -> None:
        """The owner quits; the agent's end is waited for."""
        self._guest.__exit__(None, None, None)
        self._pointer.close()
        assert self._agent.stdin is not None
        self._agent.stdin.close()
        self._agent.wait(60)
        self._reader.join()

    def _arrive(self) -> Guest:
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                return Guest(default().socket)
            except NoAgent:
                if time.monotonic() > end or self._agent.poll() is not None:
                    raise
                time.sleep(0.1)

    def _weigh(self, nice: str) -> None:
        """Let a worker that loads its task have the machine, or put it back where the agent puts one that works."""
        for process in psutil.Process(self._agent.pid).children(recursive=True):
            with suppress(OSError):
                if os.getsid(process.pid) != self._agent.pid:
                    Path(f"/proc/{process.pid}/autogroup").write_text(nice)

    def _until(self, what: str, reached: Callable[[State], bool], meanwhile: Callable[[], None] | None = None) -> State:
        end, state = time.monotonic() + PATIENCE_S, None
        while state is None and time.monotonic() < end:
            state = self._guest.wait_for(reached, 0.2 if meanwhile else PATIENCE_S)
            if meanwhile and state is None and self._guest.state.task and self._guest.state.task.phase is not Phase.RUNNING:
                meanwhile()
        if state is None:
            now = self._guest.state
            raise NotBegun(f"{what} did not come: {now.why} {now.task and now.task.phase} {now.notices[:3]}")
        return state

    def _tree(self, pid: int) -> list[int]:
        """The worker, and the sandbox around it up to the agent."""
        parents = [one.pid for one in psutil.Process(pid).parents()]
        return [pid, *parents[: parents.index(self._agent.pid)]]

    def _read(self) -> None:
        assert self._agent.stdout is not None
        for line in self._agent.stdout:
            self._said.put(line.decode().split())

    def _handed_back(self, task_id: str) -> int:
        """The step of the checkpoint that went back to the market, 0 when the task went back without one."""
        while True:
            try:
                words = self._said.get(timeout=30)
            except Empty:
                raise SystemExit(f"{task_id} was not handed back") from None
            if words[1] == task_id:
                return int(words[2]) if words[0] == "kept" else 0

    # --- the signals, each at its origin: when it arose (monotonic), and what brings things back to normal

    def click(self, _task_id: str) -> tuple[float, Callable[[], None]]:
        arose = time.monotonic()
        self._guest.post(m.OwnerTurnedSharing(on=False))
        return arose, _nothing

    def app(self, _task_id: str) -> tuple[float, Callable[[], None]]:
        arose = time.monotonic()
        game = subprocess.Popen([str(self._root / GAME), "60"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return arose, lambda: _ended(game)

    def touch(self, _task_id: str) -> tuple[float, Callable[[], None]]:
        arose = time.monotonic()
        self._pointer.move()
        return arose, _nothing

    def heat(self, _task_id: str) -> tuple[float, Callable[[], None]]:
        arose = time.monotonic()
        self.warm(97)
        return arose, lambda: self.warm(41)

    def warm(self, degrees: int) -> None:
        fresh = self._world.with_suffix(".new")
        fresh.write_text(CARD.replace("0.temperature 41", f"0.temperature {degrees}"))
        fresh.replace(self._world)

    def strike(self, _task_id: str) -> tuple[float, Callable[[], None]]:
        """The clock is a second or two before the end of the window; it strikes. Where in a second it is stays as it was."""
        begun, shown = time.monotonic(), time.time()
        left = 2 - shown % 1
        self.say(f"clock {self._strikes - left} {begun}".encode())
        return begun + left, lambda: self.say(f"clock {time.time()} {time.monotonic()}".encode())

    def lose(self, task_id: str) -> tuple[float, Callable[[], None]]:
        arose = time.monotonic()
        self.tell(m.LeaseLost(task_id, "the lease was lost"))
        return arose, _nothing


SIGNALS: dict[Trigger, Callable[[House, str], tuple[float, Callable[[], None]]]] = {
    Trigger.CLICK: House.click,
    Trigger.APP: House.app,
    Trigger.PRESENCE: House.touch,
    Trigger.HEAT: House.heat,
    Trigger.SCHEDULE: House.strike,
    Trigger.LEASE_LOST: House.lose,
}


class Pointer:
    """A mouse that X takes for a real one (the XTEST extension, which xdotool uses too)."""

    def __init__(self, display: str) -> None:
        self._x11, self._test = ctypes.CDLL("libX11.so.6"), ctypes.CDLL("libXtst.so.6")
        self._x11.XOpenDisplay.restype = ctypes.c_void_p
        self._display = ctypes.c_void_p(self._x11.XOpenDisplay(display.encode()))
        self._by = 5

    def move(self) -> None:
        self._test.XTestFakeRelativeMotionEvent(self._display, self._by, 0, ctypes.c_ulong(0))
        self._x11.XFlush(self._display)
        self._by = -self._by

    def close(self) -> None:
        self._x11.XCloseDisplay(self._display)


@contextmanager
def open_house(root: Path, burners: int = os.cpu_count() or 1, deadline_ms: int = OWNER_DEADLINE_MS) -> Iterator[House]:
    """A house whose files lie below `root`, with so many processes that only burn time. Nothing of it is left running.

    A worker that has not answered an owner's signal by the deadline is killed.
    """
    with ExitStack() as stack:
        desktop = stack.enter_context(open_desktop())
        library = compile_library(root)
        (root / "world.txt").write_text(CARD)
        (root / GAME).write_bytes(Path("/bin/sleep").read_bytes())
        (root / GAME).chmod(0o755)
        environment = os.environ | desktop.environment | {"FAKE_NVML_WORLD": str(root / "world.txt")}
        command = [sys.executable, "-m", "tests.benchmarks.giveback_agent", str(library), str(deadline_ms)]
        agent = subprocess.Popen(
            command, env=environment, cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        stack.callback(_ended, agent)
        burning = [psutil.Popen([sys.executable, "-c", _BURN], start_new_session=True) for _ in range(burners)]
        for burner in burning:
            stack.callback(_ended, burner)
        house = House(root, agent, desktop, burning)
        stack.callback(house.close)
        yield house


def _ended(process: "subprocess.Popen[bytes] | psutil.Popen") -> None:
    process.kill()
    process.wait()
    for end in (process.stdin, process.stdout):
        if end is not None:
            end.close()


def _until(end: float) -> str:
    """A week in which only the half hour that begins at `end` (unix seconds) is not for sharing."""
    moment = datetime.fromtimestamp(end, UTC)
    cell = moment.weekday() * CELLS_PER_DAY + moment.hour * 2 + moment.minute // 30
    return _ALWAYS[:cell] + "-" + _ALWAYS[cell + 1 :]


def _stepping(state: State) -> bool:
    task = state.task
    return task is not None and task.phase is Phase.RUNNING and task.progress is not None and task.progress.step > 1


def _all_gone(handles: list[int]) -> float:
    """The instant (monotonic) at which the kernel has said of all of them that they ended."""
    left = list(handles)
    try:
        while left:
            ended, _, _ = select.select(left, [], [], 30)
            if not ended:
                raise SystemExit("a worker did not end within thirty seconds")
            left = [one for one in left if one not in ended]
        return time.monotonic()
    finally:
        for one in handles:
            os.close(one)


def _nothing() -> None:
    pass
