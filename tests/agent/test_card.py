"""What the card says, from the driver through the real adapter to the verdict: heat with its quiet degrees, and errors."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from desktop_app.core import effects as e
from desktop_app.core import messages as m
from desktop_app.core.gpu import Device, Reading
from desktop_app.core.policy import Yes, decide
from desktop_app.core.state import Reason, State, Trigger
from desktop_app.core.update import update
from tests.builders import a_gpu, a_state, a_task
from tests.fakes.nvml import CARD, FakeGpu, fake_gpu


class Machine:
    """A card, and the state of a machine that looks at it once a second."""

    def __init__(self, gpu: FakeGpu) -> None:
        self.gpu = gpu
        found = gpu.ask("find")
        assert isinstance(found, list)
        self.device = msgspec.convert(found[0], Device)
        gpu.ask("open")
        known = a_gpu(device=self.device)
        self.state = a_state(gpu=known, task=a_task())

    def look(self, seconds: int = 1) -> list[e.Effect]:
        """What follows from the next looks."""
        effects: list[e.Effect] = []
        for _ in range(seconds):
            self._hear(m.ClockTicked(self.state.now + timedelta(seconds=1), self.state.zone), effects)
            faults = self.gpu.ask("faults")
            assert isinstance(faults, list)
            for xid in faults:
                self._hear(m.GpuFaulted(self.device.uuid, int(str(xid))), effects)
            reading = msgspec.convert(self.gpu.ask("read", []), Reading)
            self._hear(m.GpuMeasured(self.device.uuid, reading), effects)
        return effects

    def _hear(self, message: m.Message, effects: list[e.Effect]) -> None:
        self.state, more = update(self.state, message)
        effects += more


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with fake_gpu(tmp_path, CARD) as gpu:
        yield Machine(gpu)


def free(state: State) -> State:
    """The task is gone and its pause is over."""
    return replace(state, task=None, cooldown=type(state.cooldown)())


def test_heat_takes_the_card_back_at_the_limit_and_resumes_eight_degrees_below_it(machine: Machine) -> None:
    machine.gpu.change(temperature=82)
    assert machine.look(3) == []
    machine.gpu.change(temperature=83)
    assert e.GiveBack("task-1", Trigger.HEAT, 200) in machine.look()
    machine.state = free(machine.state)
    for degrees in (82, 79, 76):
        machine.gpu.change(temperature=degrees)
        machine.look()
        assert machine.state.why.reason is Reason.TOO_HOT, degrees
    machine.gpu.change(temperature=74)
    machine.look()
    assert isinstance(decide(machine.state), Yes)
    machine.gpu.change(temperature=82)
    machine.look()
    assert isinstance(decide(machine.state), Yes), "it is not hot until it reaches the limit again"


def test_a_card_that_does_not_tell_its_heat_is_not_taken_back_for_it(machine: Machine) -> None:
    machine.gpu.change(temperature=None)
    assert machine.look(2) == []


def test_an_error_of_the_card_stops_everything_until_the_owner_has_looked(machine: Machine) -> None:
    assert machine.look() == []  # from now on it is listened to
    machine.gpu.world += "0.xid 79\n"
    assert e.GiveBack("task-1", Trigger.GPU_FAULT, 200) in machine.look(2)
    machine.state = free(machine.state)
    machine.look(5)
    assert (machine.state.why.reason, machine.state.why.detail) == (Reason.GPU_FAULT, "79")
    for on in (False, True):
        machine.state, _ = update(machine.state, m.OwnerTurnedSharing(on))
    assert machine.state.gpu.fault is None


def test_an_error_of_a_program_ends_the_run_and_leaves_the_card_to_the_next_one(machine: Machine) -> None:
    assert machine.look() == []
    machine.gpu.world += "0.xid 31\n"
    assert e.GiveBack("task-1", Trigger.GPU_FAULT, 200) in machine.look(2)
    machine.state = free(machine.state)
    machine.look()
    assert isinstance(decide(machine.state), Yes)


def test_what_the_driver_says_after_a_kill_stops_nothing(machine: Machine) -> None:
    assert machine.look() == []
    machine.gpu.world += "0.xid 45\n"
    assert machine.look(2) == []
