"""What the practice renter orders next: from a short list of real work, with ever new seeds.

Three trainings, then, once a model has come back and was paid, a reading with it, two trainings, a reading, and so on. Pure but for reading
the list. Called by the renter's posting.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from desktop_app.core.catalogue import Declaration, limits, reference_units, steps
from desktop_app.core.gpu import Tier
from desktop_app.core.task import Blob, Manifest
from desktop_app.wire.bundle import catalogue
from desktop_app.wire.resources import resource

TRAIN: Final = "train.classifier/1"
INFER: Final = "infer.batch/1"
LIFE_S: Final = 22 * 3600  # within its job's deadline
CHECKPOINTS: Final = 8  # about so many in a task
_EVERY_THIRD: Final = 3

_Params = dict[str, int | float]


class Training(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model to be trained on the handwritten digits."""

    name: str
    params: _Params


class Reading(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Many rows to be read with a model that a training made."""

    name: str
    model_of: str
    params: _Params


class Orders(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The list."""

    train: tuple[Training, ...]
    infer: tuple[Reading, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """One task to be: its number names it for good, `model` is set for a reading."""

    number: int
    name: str
    kind: str
    params: tuple[tuple[str, int | float | str], ...]
    model: Blob | None = None

    @property
    def declaration(self) -> Declaration:
        return catalogue()[self.kind]


def load() -> Orders:
    """The list that comes with the app."""
    return msgspec.json.decode(resource("practice/orders.json").read_bytes(), type=Orders)


def pick(orders: Orders, number: int, models: Mapping[str, Blob]) -> Order:
    """The order of that number, given the models that came back so far, by the name of their training."""
    readable = [one for one in orders.infer if one.model_of in models]
    if number and number % _EVERY_THIRD == 0 and readable:
        reading = readable[number // _EVERY_THIRD % len(readable)]
        return _reading(reading, number, models[reading.model_of])
    return _training(orders.train[number % len(orders.train)], number)


def named(orders: Orders, name: str, number: int, model: Blob | None) -> Order | None:
    """The order that was picked before, or None when the list no longer has it."""
    for training in orders.train:
        if training.name == name:
            return _training(training, number)
    found = next((one for one in orders.infer if one.name == name), None)
    return _reading(found, number, model) if found is not None and model is not None else None


def _training(training: Training, number: int) -> Order:
    return Order(number, training.name, TRAIN, tuple(sorted(training.params.items())))


def _reading(reading: Reading, number: int, model: Blob) -> Order:
    return Order(number, reading.name, INFER, tuple(sorted(reading.params.items())), model)


def units(order: Order, tier: Tier) -> int:
    """What the order is worth on a tier."""
    return reference_units(order.declaration, tier, dict(order.params))


def manifest(order: Order, data: Blob, tier: Tier, job_id: str, renter: str, task_id: str, now: int) -> Manifest:
    """The task's description; its `sha256` is still to be filled in from the canonical bytes."""
    declaration, params = order.declaration, dict(order.params)
    inputs = (data,) if order.model is None else (data, Blob("model", order.model.sha256, order.model.bytes, order.model.format))
    count = steps(declaration, params)
    return Manifest(
        task_id=task_id,
        job_id=job_id,
        renter=renter,
        kind=order.kind,
        tier=tier,
        inputs=inputs,
        params=order.params,
        seed=order.number,
        steps=count,
        units=reference_units(declaration, tier, params),
        limits=limits(declaration, tier, params, inputs),
        checkpoint_steps=max(1, count // CHECKPOINTS),
        expires=now + LIFE_S,
        sha256="",
    )
