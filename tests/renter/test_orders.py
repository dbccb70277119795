"""What the renter orders: real tasks that its own door lets in, ever new, and readings once there is a model to read with."""

from dataclasses import replace

from desktop_app.core.gpu import Tier
from desktop_app.core.task import Blob, Manifest
from desktop_app.renter import orders
from desktop_app.wire.bundle import manifest_bytes, parse_manifest

RENTER, JOB, NOW = "0x" + "11" * 20, "0x" + "22" * 32, 1_800_000_000
DATA = Blob("data", "33" * 32, 93_874, "safetensors")
MODEL = Blob("model", "44" * 32, 4_500_000, "safetensors")
LIST = orders.load()
MODELS = {training.name: MODEL for training in LIST.train}


def drawn(number: int, models: dict[str, Blob]) -> Manifest:
    order = orders.pick(LIST, number, models)
    return orders.manifest(order, DATA, Tier.PRACTICE, JOB, RENTER, f"{number:08x}", NOW)


def test_every_order_is_let_in_by_the_door() -> None:
    kinds = set()
    for number in range(30):
        manifest = drawn(number, MODELS)
        parsed = parse_manifest(manifest_bytes(manifest), "0x00", NOW, lambda job, sha256, signature: RENTER)
        assert isinstance(parsed, Manifest), parsed
        assert replace(parsed, sha256="") == manifest
        assert parsed.units == orders.units(orders.pick(LIST, number, MODELS), Tier.PRACTICE) > 0
        assert 1 <= parsed.checkpoint_steps < parsed.steps
        kinds.add(parsed.kind)
    assert kinds == {orders.TRAIN, orders.INFER}


def test_trainings_differ_in_width_and_seed() -> None:
    seen = [drawn(number, {}) for number in range(12)]
    assert {one.kind for one in seen} == {orders.TRAIN}
    assert len({one.seed for one in seen}) == 12
    assert len({dict(one.params)["width"] for one in seen}) >= 3


def test_a_reading_waits_for_its_model() -> None:
    reading = LIST.infer[0]
    assert orders.pick(LIST, 3, {}).kind == orders.TRAIN
    order = orders.pick(LIST, 3, {reading.model_of: MODEL})
    assert (order.kind, order.name, order.model) == (orders.INFER, reading.name, MODEL)
    assert [blob.role for blob in drawn(3, {reading.model_of: MODEL}).inputs] == ["data", "model"]
    assert orders.pick(LIST, 3, {"another": MODEL}).kind == orders.TRAIN


def test_an_order_is_found_again_by_its_name() -> None:
    for number in range(12):
        order = orders.pick(LIST, number, MODELS)
        assert orders.named(LIST, order.name, number, order.model) == order
    assert orders.named(LIST, "gone", 1, None) is None
    assert orders.named(LIST, LIST.infer[0].name, 1, None) is None
