"""settings.json: the owner's choices in a file a person can read and edit.

Every value is checked by `core.settings.change`; one that does not fit is left at its default and said so, and the file as
it was is kept aside. Called by the store.
"""

import json
from dataclasses import fields
from pathlib import Path

import msgspec

from desktop_app.adapters.store.disk import keep_aside, trouble_named, write_whole
from desktop_app.core.errors import AppError
from desktop_app.core.messages import TroubleArose
from desktop_app.core.schedule import CELLS_PER_DAY
from desktop_app.core.settings import Refused, Settings, Value, change
from desktop_app.core.state import NoticeKind

_MOST_BYTES = 1 << 20
_names = msgspec.json.Decoder(dict[str, msgspec.Raw])
_values: msgspec.json.Decoder[Value] = msgspec.json.Decoder(Value)  # typed, so that no nesting can exhaust the stack
_days = msgspec.json.Decoder(dict[str, str])
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Preferences:
    """The file, and what was last written to it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written: Settings | None = None

    def load(self) -> tuple[Settings, tuple[TroubleArose, ...]]:
        """The settings, and what was wrong with the file. A file that is not there is a first start. Raises AppError."""
        with trouble_named(self._path.parent):
            if not self._path.exists():
                return Settings(), ()
            settings, faults = _parsed(self._path.read_bytes()[: _MOST_BYTES + 1])
            if not faults:
                self._written = settings
                return settings, ()
            aside = keep_aside(self._path)
        try:
            self.save(settings)
        except AppError as error:
            faults = (*faults, error.title)
        detail = f"{'; '.join(faults[:3])}. The file as it was is {aside.name}."
        return settings, (TroubleArose(NoticeKind.SETTINGS_DAMAGED, detail),)

    def save(self, settings: Settings) -> None:
        """Write the file if it would differ. Raises AppError."""
        if settings == self._written:
            return
        with trouble_named(self._path.parent):
            write_whole(self._path, _text(settings))
        self._written = settings


def _text(settings: Settings) -> bytes:
    values: dict[str, object] = {field.name: getattr(settings, field.name) for field in fields(settings)}
    cells = settings.schedule.cells
    values["schedule"] = {day: cells[place * CELLS_PER_DAY :][:CELLS_PER_DAY] for place, day in enumerate(_DAYS)}
    return (json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode()


def _parsed(data: bytes) -> tuple[Settings, tuple[str, ...]]:
    """The good part of the file, and a sentence for each fault."""
    if len(data) > _MOST_BYTES:
        return Settings(), ("the file is too large to be settings",)
    try:
        values = _names.decode(data)
    except msgspec.ValidationError:
        return Settings(), ("the file does not hold names and values",)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return Settings(), ("the file is not JSON",)
    settings, faults = Settings(), []
    for name, raw in values.items():
        changed = _changed(settings, name, raw)
        if isinstance(changed, Refused):
            faults.append(f"{changed.name}: {changed.reason}")
        else:
            settings = changed
    return settings, tuple(faults)


def _changed(settings: Settings, name: str, raw: msgspec.Raw) -> Settings | Refused:
    """The settings with one value of the file taken; the schedule's days become the one string that the core wants."""
    try:
        value: Value = "".join(_days.decode(raw).get(day, "") for day in _DAYS) if name == "schedule" else _values.decode(raw)
    except (msgspec.DecodeError, ValueError):
        return Refused(name, "this is no value that a setting can have")
    return change(settings, name, value)
