"""The schedule page as a view: the week, the mark of now, and the sentence on what comes next. Pure; called by that page."""

from dataclasses import dataclass

from desktop_app.core.schedule import CELLS_PER_DAY, Schedule, cell_at, local
from desktop_app.core.state import State
from desktop_app.ui.present import Heard, Silence
from desktop_app.wire import phrases
from desktop_app.wire.phrases import say


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """Everything on Schedule. `now_place` is the current half hour as a place in the week (0…335), with its fraction."""

    live: bool
    schedule: Schedule
    now_place: float | None
    sentence: str


def schedule(heard: Heard) -> ScheduleView:
    """The schedule page."""
    if isinstance(heard, Silence):
        return ScheduleView(False, Schedule("-" * 7 * CELLS_PER_DAY), None, say("schedule.now.unknown"))
    week = heard.settings.schedule
    wall = local(heard.now, heard.zone)
    place = wall.weekday() * CELLS_PER_DAY + (wall.hour * 60 + wall.minute) / 30
    return ScheduleView(True, week, place, _schedule_sentence(heard))


def _schedule_sentence(state: State) -> str:
    week = state.settings.schedule
    here = phrases.cell(cell_at(week, state.now, state.zone))
    change = phrases.schedule_change(state)
    if change is None:
        return say("schedule.now", cell=here)
    then = phrases.cell(cell_at(week, change, state.zone))
    return say("schedule.now.until", cell=here, until=phrases.at(change, state.now, state.zone), next=then)
