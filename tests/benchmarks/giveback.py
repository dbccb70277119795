"""From the owner's signal to the worker gone: `python -m tests.benchmarks.giveback [trials] [killed] [minutes]`.

300 trials and 30 by default, or as many as can be begun in 25 minutes.

The real agent in a process of its own (engine, policy, senses, supervisor, sandbox, local socket), with a stand-in for the
market; every core is busy with a process at nice 0 while the device is taken back. Signals arise at their origins: a click is
a message on the local socket, an app is a process whose name is on the owner's list, an input is a pointer moved on a real X
server, heat is what the fake NVML says of its card, a schedule ends by the clock, a lease is lost as the market's adapter
says it. Each takes its turn with each kind of task. Times are from that origin, detection included, until the kernel has said
of the worker and of the sandbox around it that they ended.

`killed` more trials stop the worker (SIGSTOP) before an owner's signal, so that it cannot answer and is killed at the
deadline. Every checkpoint that was handed back is then read, restored, and partly computed again: `corrupt_snapshots` are
those that are not what their task had computed. What a killed worker lost is also told in snapshot intervals: the steps between
its last two commits, which are more than its task wishes where that would cost too much.
"""

import itertools
import math
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from desktop_app.core.state import Halt, Trigger
from tests.benchmarks import work
from tests.benchmarks.giveback_house import SIGNALS, House, NotBegun, Trial, open_house
from tests.benchmarks.small_tasks import INTERVAL, KINDS, Small, prepare

Turn = tuple[Trigger, str, bool]  # signal, kind, whether the worker is stopped before

_RUN_S = (0.2, 0.9)
_OWNERS = tuple(trigger for trigger in SIGNALS if trigger is not Trigger.SCHEDULE)


@dataclass
class Figures:
    """What came of all trials."""

    trials: list[Trial] = field(default_factory=list)
    mistaken: int = 0  # given back for another reason than the signal of the trial
    unbegun: int = 0  # no task came to its first steps
    corrupt: int = 0

    def of(self, triggers: Iterable[Trigger], *, stopped: bool = False) -> list[Trial]:
        return [one for one in self.trials if one.trigger in triggers and one.stopped is stopped]


def main(trials: int, killed: int, minutes: float) -> None:
    """Run them, and print what came of it."""
    with tempfile.TemporaryDirectory(prefix="sublet-giveback-") as folder:
        root = Path(folder)
        os.environ |= {"SUBLET_HOME": str(root / "profile"), "XDG_RUNTIME_DIR": str(_made(root / "run"))}
        begun = time.monotonic()
        tasks = prepare(root / "tasks")
        print(f"tasks prepared in {time.monotonic() - begun:.0f} s")
        figures = run(root, tasks, _turns(trials, killed), time.monotonic() + 60 * minutes)
        figures.corrupt = sum(not whole(one, tasks[one.kind]) for one in figures.trials)
    _print(figures)


def run(root: Path, tasks: dict[str, Small], turns: list[Turn], until: float) -> Figures:
    """The trials, as many as can be begun before `until` (monotonic)."""
    chance, figures = random.Random(7), Figures()
    with open_house(root) as house:
        for trigger, kind, stop in turns:
            if time.monotonic() > until:
                break
            trial = attempt(house, tasks[kind], trigger, chance.uniform(*_RUN_S), stop=stop)
            if trial is None:
                figures.unbegun += 1
                continue
            if trial.record.trigger is trigger:
                figures.trials.append(trial)
            else:
                figures.mistaken += 1
            print(_line(trial), flush=True)
    return figures


def _turns(trials: int, killed: int) -> list[Turn]:
    """Every signal with every kind again and again, and, spread over them, those that cannot answer."""
    usual = itertools.cycle((trigger, kind, False) for kind in KINDS for trigger in SIGNALS)
    unanswered = itertools.cycle((trigger, kind, True) for kind in KINDS for trigger in _OWNERS)
    turns: list[Turn] = []
    for number in range(trials):
        turns.append(next(usual))
        if number * killed // trials != (number + 1) * killed // trials:
            turns.append(next(unanswered))
    return turns


def attempt(house: House, task: Small, trigger: Trigger, run_s: float, *, stop: bool) -> Trial | None:
    """One trial; None if its task did not come to its first steps."""
    try:
        state = house.begin(task, trigger)
    except NotBegun as trouble:
        print(trouble, flush=True)
        return None
    house.rest(False)
    time.sleep(run_s)
    return house.pull(trigger, task.kind, state, stop=stop)


def whole(trial: Trial, task: Small) -> bool:
    """Whether what was handed back is what had been computed. A task that went back untouched has nothing to be corrupt."""
    if trial.step == 0:
        return trial.trigger is Trigger.LEASE_LOST or trial.record.halt is not Halt.YIELDED
    try:
        return task.held(trial.kept, trial.step)
    except (ValueError, RuntimeError, OSError) as error:
        print(f"{trial.kept.name}: {error}")
        return False


def _print(figures: Figures) -> None:
    cores, load = psutil.cpu_count(), psutil.getloadavg()[0]
    busy = percentile([one.busy for one in figures.trials], 0.5)
    print(f"{len(figures.trials)} trials, {figures.mistaken} given back for another reason, {figures.unbegun} not begun")
    print(f"load {load:.1f} on {cores} cores, {busy:.0f} % busy")
    for trigger in SIGNALS:
        _row(trigger.value, figures.of((trigger,)))
    for kind in KINDS:
        _row(kind, [one for one in figures.of(_OWNERS) if one.kind == kind])
    _row("cannot answer", figures.of(_OWNERS, stopped=True))
    owners, stopped = figures.of(_OWNERS), figures.of(_OWNERS, stopped=True)
    gone, asked = [one.gone_ms for one in owners], [one.asked_ms for one in owners]
    answered = [one.record.steps_lost for one in figures.trials if one.record.halt is Halt.YIELDED]
    unanswered = [one for one in figures.trials if one.record.halt is Halt.KILLED]
    work.figure("giveback_p50", percentile(gone, 0.50), "ms")
    work.figure("giveback_p99", percentile(gone, 0.99), "ms")
    work.figure("giveback_max", max(gone, default=math.nan), "ms")
    work.figure("giveback_detect_p99", percentile(asked, 0.99), "ms")
    work.figure("giveback_from_asked_p99", percentile([one.gone_ms - one.asked_ms for one in owners], 0.99), "ms")
    work.figure("giveback_deadline_kills", sum(one.record.halt is Halt.KILLED for one in owners), "trials")
    work.figure("giveback_schedule_p99", percentile([one.gone_ms for one in figures.of((Trigger.SCHEDULE,))], 0.99), "ms")
    work.figure("giveback_stopped_max", max((one.gone_ms for one in stopped), default=0.0), "ms")
    work.figure("corrupt_snapshots", figures.corrupt, "checkpoints")
    work.figure("steps_lost_max", max(answered, default=0), "steps")
    lost = [one.record.steps_lost for one in unanswered]
    intervals = [one.record.steps_lost / one.interval for one in unanswered]
    work.figure("steps_lost_killed_max", max(lost, default=0), f"steps; a snapshot is wanted every {INTERVAL}")
    work.figure("intervals_lost_killed_max", max(intervals, default=0.0), "snapshot intervals")


def _row(name: str, trials: list[Trial]) -> None:
    if not trials:
        return
    gone, asked = [one.gone_ms for one in trials], [one.asked_ms for one in trials]
    after = [one.gone_ms - one.asked_ms for one in trials]
    print(
        f"{name:18} {len(trials):4}  gone p50 {percentile(gone, 0.5):5.0f} p99 {percentile(gone, 0.99):5.0f} max {max(gone):5.0f} ms"
        f"  detected p50 {percentile(asked, 0.5):4.0f} p99 {percentile(asked, 0.99):4.0f}"
        f"  from asked p50 {percentile(after, 0.5):4.0f} p99 {percentile(after, 0.99):4.0f}"
    )


def _line(one: Trial) -> str:
    record = one.record
    return (
        f"{one.trigger:10} {one.kind:18} {'stopped ' if one.stopped else ''}gone {one.gone_ms:6.1f} asked {one.asked_ms:6.1f} "
        f"(bound {record.detected_ms:6.1f}) {record.halt} as {record.trigger} lost {record.steps_lost} of step {one.step}"
    )


def percentile(values: list[float], share: float) -> float:
    """Nearest rank: the smallest value that at least this share of the trials does not exceed; not a number without trials."""
    ordered = sorted(values) or [math.nan]
    return ordered[max(0, -(-len(ordered) * round(share * 100) // 100) - 1)]


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o700)
    return folder


if __name__ == "__main__":
    words = [float(word) for word in sys.argv[1:]]
    trials, killed, minutes = words + [300, 30, 25][len(words) :]
    main(int(trials), int(killed), minutes)
