"""How long before its message a signal arose: never less than it was, and exact where somebody knows."""

from dataclasses import replace
from datetime import timedelta

import pytest

from desktop_app.core import messages as m
from desktop_app.core.lateness import late_s
from desktop_app.core.messages import Message
from desktop_app.core.presence import Presence
from desktop_app.core.schedule import Zone
from desktop_app.core.state import Trigger
from tests.builders import NOON, a_give_back, a_reading

TOUCHED = Presence(idle_s=0.03)


def test_an_owners_waiting_begins_at_the_signal() -> None:
    record = replace(a_give_back(), detected_ms=100.0, stopped_ms=50.0, vram_free_ms=80.0)
    assert record.back_ms == 180.0
    assert replace(record, vram_free_ms=None).back_ms == 150.0


@pytest.mark.parametrize(
    ("message", "trigger", "late"),
    [
        (m.PresenceSensed(TOUCHED, 0.1), Trigger.PRESENCE, 0.03),  # the screen's server knows when the key was pressed
        (m.PresenceSensed(TOUCHED, 0.1), Trigger.APP, 0.1),  # the key says nothing about the program
        (m.PresenceSensed(Presence(), 0.1), Trigger.PRESENCE, 0.1),
        (m.PresenceSensed(Presence(idle_s=200.0), 0.1), Trigger.PRESENCE, 0.1),  # seen late for another reason, not 200 s late
        (m.GpuMeasured("GPU-1", a_reading(), 0.25), Trigger.HEAT, 0.25),
        (m.GpuMeasured("GPU-1", a_reading(), 0.25), Trigger.FOREIGN_USE, 0.5),  # it was busy at the look before too
        (m.GpuWentMissing("GPU-1", "", 0.25), Trigger.GPU_LOST, 0.25),
        (m.ClockTicked(NOON + timedelta(milliseconds=4), Zone(), 1.0), Trigger.SCHEDULE, 0.004),
        (m.ClockTicked(NOON + timedelta(minutes=7), Zone(), 1.0), Trigger.SCHEDULE, 1.0),  # it slept through the half hour
        (m.OwnerTurnedSharing(on=False), Trigger.CLICK, 0.0),
        (m.LeaseLost("task-1", ""), Trigger.LEASE_LOST, 0.0),
    ],
)
def test_lateness(message: Message, trigger: Trigger, late: float) -> None:
    assert late_s(message, trigger) == pytest.approx(late, abs=1e-6)
