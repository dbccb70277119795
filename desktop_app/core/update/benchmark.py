"""The benchmark that files a GPU: begun when the owner's rules allow it, taken back like a task, signed, and kept.

Without a record of this very device, driver and engine a graphics card is neither registered nor offered. Called by `settle`,
which begins it, and by `work`, which hears what became of it.
"""

import hashlib
from dataclasses import replace
from datetime import timedelta

from desktop_app.core import messages as m
from desktop_app.core.bench import (
    AGAIN_MOST,
    SignedBenchmark,
    Trial,
    TrialPhase,
    bench_steps,
    benchmark_record,
    measured_of,
    tier_in,
    waiting,
)
from desktop_app.core.effects import Effect, ForgetTask, GiveBack, RunBenchmark, SignBenchmark
from desktop_app.core.gpu import Device, Reading, Tier
from desktop_app.core.money import Units
from desktop_app.core.policy import No, Verdict, owner_wants_gpu
from desktop_app.core.state import OWNER_DEADLINE_MS, NoticeKind, Reason, State
from desktop_app.core.task import Limits, Manifest
from desktop_app.core.update.owner import notice

BENCHMARK = "benchmark"
"""What its worker goes by where tasks have their ids, which are hexadecimal."""

SUSTAINED_S = 45
AGAIN_FIRST = timedelta(minutes=1)
SIGN_AGAIN = timedelta(seconds=30)
_CONTEXT_MB = 512  # what the driver and torch take before any tensor
_RAM_MB, _OUTPUT_MB, _WALL_S = 8_192, 16, 600

Step = tuple[State, tuple[Effect, ...]]


def begin(state: State, verdict: Verdict) -> Step:
    """Measure the device if nothing but the measurement is missing; have a record signed that is not signed yet."""
    trial, device = state.gpu.trial, state.gpu.device
    rests = waiting(trial, state.now) is not None
    if trial.phase is TrialPhase.SIGNING and trial.record is not None and state.wallet.ready and not rests:
        return _with(state, replace(trial, again=state.now + SIGN_AGAIN)), (SignBenchmark(trial.record),)
    wanted = isinstance(verdict, No) and verdict.why.reason is Reason.MEASURING
    if trial.phase is not TrialPhase.RESTING or not wanted or rests or device is None or state.task is not None:
        return state, ()
    seed = int(hashlib.sha256(f"{device.uuid} {state.now.isoformat()}".encode()).hexdigest()[:12], 16)
    begun = Trial(TrialPhase.RUNNING, seed, idle_watts=state.gpu.reading.watts, failures=trial.failures)
    return _with(state, begun), (RunBenchmark(order(device, state.gpu.reading, state.settings.vram_reserve_mb, seed)),)


def take_back(state: State) -> Step:
    """Give the device back if the owner wants it; there is nothing of the measurement worth saving."""
    no = owner_wants_gpu(state)
    if state.gpu.trial.phase is not TrialPhase.RUNNING or no is None or no.trigger is None:
        return state, ()
    returning = replace(state.gpu.trial, phase=TrialPhase.RETURNING)
    return _with(state, returning), (GiveBack(BENCHMARK, no.trigger, OWNER_DEADLINE_MS),)


def weigh(trial: Trial, reading: Reading) -> Trial:
    """The trial with what the card draws now, if it draws more than before."""
    if trial.phase is not TrialPhase.RUNNING or reading.watts is None or reading.watts <= (trial.peak_watts or 0):
        return trial
    return replace(trial, peak_watts=reading.watts)


def hear(
    state: State, message: m.BundleFetched | m.LeaseLost | m.WorkerStarted | m.WorkerProgressed | m.CheckpointStored
    | m.WorkerFinished | m.WorkerFailed,
) -> Step:  # fmt: skip
    """What became of the benchmark's worker."""
    trial, device = state.gpu.trial, state.gpu.device
    if trial.phase not in (TrialPhase.RUNNING, TrialPhase.RETURNING) or device is None:
        return state, ()
    match message:
        case m.WorkerStarted(_, pid):
            return _with(state, replace(trial, pid=pid)), ()
        case m.WorkerFinished(_, _, metrics):
            measured = measured_of(dict(metrics))
            if measured is None:
                return _failed(state, "its figures are not whole")
            ended, watts = int(state.now.timestamp()), _drawn(trial)
            record = benchmark_record(device, measured, state.readiness.engine, trial.seed, ended, watts)
            return _with(state, Trial(TrialPhase.SIGNING, record=record)), (ForgetTask(BENCHMARK),)
        case m.WorkerFailed(_, detail) if trial.phase is TrialPhase.RUNNING:
            return _failed(state, detail)
        case _:
            return state, ()


def given_back(state: State) -> Step:
    """The device is free: begin anew when the rules allow it."""
    trial = state.gpu.trial
    if trial.phase is not TrialPhase.RETURNING:
        return state, ()
    return _with(state, Trial(failures=trial.failures)), (ForgetTask(BENCHMARK),)


def signed(state: State, one: SignedBenchmark) -> Step:
    """Keep the record that was asked for, and file the GPU under its tier."""
    if state.gpu.trial.phase is not TrialPhase.SIGNING or state.gpu.trial.record != one.record:
        return state, ()
    return replace(state, gpu=replace(state.gpu, benchmark=one, tier=tier_in(one.record), trial=Trial())), ()


def order(device: Device, reading: Reading, reserve_mb: int, seed: int) -> Manifest:
    """The benchmark as the supervisor takes it. It touches all memory but the owner's share, what others hold and the driver's."""
    used = reading.foreign_mb if reading.foreign_mb is not None else reading.memory_used_mb
    left = (device.memory_mb - reserve_mb - (used or 0) - _CONTEXT_MB) * (1 << 20)
    memory = max(16, left // 1_000_000)
    params = (("memory_mb", memory), ("seconds", SUSTAINED_S))
    steps = bench_steps(SUSTAINED_S)
    return Manifest(
        task_id=BENCHMARK, job_id="", renter="", kind="bench/1", tier=Tier.PRACTICE, inputs=(), params=params, seed=seed,
        steps=steps, units=Units(0), limits=Limits(device.memory_mb, _RAM_MB, 64, _WALL_S, 50, _OUTPUT_MB),
        checkpoint_steps=steps, expires=0, sha256="",
    )  # fmt: skip


def _drawn(trial: Trial) -> int | None:
    """What the load draws on top of the idle card; None when the card does not say, or says nonsense."""
    idle, peak = trial.idle_watts, trial.peak_watts
    return peak - idle if idle is not None and peak is not None and peak > idle else None


def _failed(state: State, detail: str) -> Step:
    failures = state.gpu.trial.failures + 1
    again = state.now + min(AGAIN_FIRST * 2 ** min(failures - 1, 10), AGAIN_MOST)
    state = notice(state, NoticeKind.TROUBLE, f"the GPU could not be measured: {detail}")
    return _with(state, Trial(failures=failures, again=again)), (ForgetTask(BENCHMARK),)


def _with(state: State, trial: Trial) -> State:
    return replace(state, gpu=replace(state.gpu, trial=trial))
