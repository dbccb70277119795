"""What a task may ask for, and what its steps are worth."""

from dataclasses import replace

import pytest

from desktop_app.core.catalogue import check, limits, reference_units, state_bytes, step_us, steps
from desktop_app.core.classifier import Shape, shape_of
from desktop_app.core.gpu import Tier
from desktop_app.core.money import Units
from desktop_app.core.task import Manifest
from desktop_app.wire.bundle import catalogue
from tests.manifests import READING, SHAPE, TRAINING, blob, written

TRAIN, INFER = catalogue()["train.classifier/1"], catalogue()["infer.batch/1"]
CHECK = catalogue()["check.predictions/1"]


def refusal(manifest: Manifest) -> str:
    reason = check(manifest, catalogue()[manifest.kind])
    assert reason is not None
    return reason


def with_params(manifest: Manifest, **changes: int | float | str) -> Manifest:
    return replace(manifest, params=tuple(sorted((dict(manifest.params) | changes).items())))


def test_a_network_has_the_numbers_that_its_layers_have() -> None:
    shape = shape_of(SHAPE)
    assert shape == Shape(features=64, width=32, depth=2, classes=10)
    assert shape.layers() == [(32, 64), (32, 32), (10, 32)]
    assert shape.macs() == 32 * 64 + 32 * 32 + 10 * 32
    assert shape.weights() == shape.macs() + 32 + 32 + 10
    assert shape.tensors()["layers.2.weight"] == (10, 32)
    assert set(shape.tensors()) == {"input.mean", "input.scale"} | {f"layers.{n}.{part}" for n in range(3) for part in ("weight", "bias")}


def test_training_is_worth_three_passes_and_the_weights_it_moves() -> None:
    big = TRAINING | {"width": 1024, "batch": 128, "steps": 550}
    shape = shape_of(big)
    expected = 450 + shape.macs() * 128 * 3 // 40_000 + shape.weights() // 600
    assert step_us(TRAIN, Tier.PRACTICE, big) == expected
    assert reference_units(TRAIN, Tier.PRACTICE, big) == 550 * expected // 1000
    assert reference_units(TRAIN, Tier.LARGE, big) < reference_units(TRAIN, Tier.PRACTICE, big)


def test_inference_counts_batches_the_last_one_whole() -> None:
    assert steps(INFER, READING) == 6
    assert steps(INFER, READING | {"rows": 384}) == 6
    assert steps(CHECK, READING | {"sample": 64}) == 1
    assert steps(CHECK, READING | {"sample": 100_000}) == 6
    assert steps(TRAIN, TRAINING) == 30


def test_even_the_smallest_task_is_worth_a_unit() -> None:
    assert reference_units(INFER, Tier.PRACTICE, READING | {"rows": 1, "batch": 1, "width": 8}) == 1


def test_a_checkpoint_is_bounded_by_what_the_kind_keeps() -> None:
    assert state_bytes(TRAIN, TRAINING) >= 12 * shape_of(TRAINING).weights()
    assert state_bytes(INFER, READING) >= 4 * 355 * 10
    assert state_bytes(CHECK, READING) < 1000


def test_limits_leave_room_for_files_and_state() -> None:
    practice = limits(TRAIN, Tier.PRACTICE, TRAINING, (blob("data", 50_000_000),))
    assert practice.vram_mb == 0
    assert practice.ram_mb < 2100, "files are mapped, not held"
    assert practice.disk_mb >= 100
    assert limits(INFER, Tier.PRACTICE, READING | {"rows": 4_000_000}, ()).ram_mb > 2048 + 6 * 160, "its outputs are held"
    assert 160 < limits(INFER, Tier.PRACTICE, READING | {"rows": 4_000_000}, ()).output_mb < 400
    assert practice.step_ms == 50
    assert limits(TRAIN, Tier.LARGE, TRAINING, ()).vram_mb > 1024
    assert limits(TRAIN, Tier.PRACTICE, TRAINING | {"steps": 1_000_000, "width": 1024, "batch": 500}, ()).wall_s == 7 * 24 * 3600


@pytest.mark.parametrize("kind", ["train.classifier/1", "infer.batch/1"])
def test_an_honest_task_is_let_in(kind: str) -> None:
    manifest, _ = written(kind)
    assert check(manifest, catalogue()[kind]) is None


def test_a_renters_own_check_is_not_for_the_market() -> None:
    manifest = replace(written()[0], kind="check.classifier/1")
    assert "not for the market" in refusal(manifest)


def test_parameters_must_be_just_those_of_the_kind() -> None:
    manifest, _ = written()
    assert "(momentum)" in refusal(with_params(manifest, momentum=0.9))
    assert "(lr)" in refusal(replace(manifest, params=tuple(pair for pair in manifest.params if pair[0] != "lr")))
    assert "whole number" in refusal(with_params(manifest, width=32.0))
    assert "must be a number" in refusal(with_params(manifest, lr="fast"))
    assert "width is 9000, outside 8 to 8192" in refusal(with_params(manifest, width=9000))
    assert "noise is -1, outside 0 to 10" in refusal(with_params(manifest, noise=-1))
    assert "noise is nan" in refusal(with_params(manifest, noise=float("nan")))


def test_a_whole_number_serves_where_any_number_does() -> None:
    manifest, _ = written(lr=1, noise=0)
    assert check(manifest, TRAIN) is None


def test_inputs_must_be_just_those_of_the_kind() -> None:
    manifest, _ = written()
    assert "each of these inputs once: data" in refusal(replace(manifest, inputs=()))
    assert "each of these inputs once" in refusal(replace(manifest, inputs=(blob("data"), blob("data"))))
    assert "each of these inputs once" in refusal(replace(manifest, inputs=(blob("model"),)))
    pickled = replace(blob("data"), format="pickle")
    assert "said to be pickle; this kind takes only safetensors" in refusal(replace(manifest, inputs=(pickled,)))


@pytest.mark.parametrize(("claim", "said"), [(10_000_000_000, "10.0 GB"), (2_300_000_000, "2.3 GB")])
def test_a_claim_beyond_the_kind_is_refused_with_both_sizes(claim: int, said: str) -> None:
    manifest = replace(written()[0], inputs=(blob("data", claim),))
    assert refusal(manifest) == f"the input data claims {said}, more than the 2.1 GB this kind allows"


def test_a_tier_without_a_reference_speed_is_not_offered() -> None:
    manifest, _ = written()
    declaration = replace(TRAIN, speeds=())
    assert check(manifest, declaration) == "train.classifier/1 is not offered on the tier practice"


def test_a_step_that_would_keep_the_gpu_is_refused() -> None:
    slow = with_params(written()[0], width=4096, batch=512)
    assert "the GPU must be free again after 50 ms" in refusal(slow)
    patient = written()[0]
    patient = replace(patient, limits=replace(patient.limits, step_ms=51))
    assert "wants steps of up to 51 ms" in refusal(patient)


def test_a_step_of_just_the_bound_is_let_in() -> None:
    manifest, _ = written()
    microseconds = step_us(TRAIN, Tier.PRACTICE, TRAINING)
    speed = dict(TRAIN.speeds)[Tier.PRACTICE]
    edge = replace(speed, fixed_us=speed.fixed_us + 50_000 - microseconds)
    for extra, fits in ((0, True), (1, False)):
        declaration = replace(TRAIN, speeds=((Tier.PRACTICE, replace(edge, fixed_us=edge.fixed_us + extra)),))
        worth = reference_units(declaration, Tier.PRACTICE, TRAINING)
        assert (check(replace(manifest, units=worth), declaration) is None) is fits


def test_a_checkpoint_beyond_the_bound_is_refused() -> None:
    manifest, _ = written()
    tight = replace(TRAIN, max_state_bytes=9_999)
    assert check(manifest, tight) == "a checkpoint would take 41.9 kB, more than the 10.0 kB this kind allows"


def test_steps_and_units_are_counted_not_believed() -> None:
    manifest, _ = written()
    assert refusal(replace(manifest, steps=31)) == "the task says 31 steps; its parameters make 30"
    assert "units; its parameters are worth" in refusal(replace(manifest, units=Units(manifest.units + 1)))


@pytest.mark.parametrize("name", ["vram_mb", "ram_mb", "disk_mb", "wall_s", "output_mb"])
def test_a_task_asks_for_no_more_than_it_needs(name: str) -> None:
    manifest = written()[0]
    reckoned: int = getattr(manifest.limits, name)
    for wanted, fits in ((reckoned, True), (reckoned + 1, False)):
        asking = replace(manifest, limits=replace(manifest.limits, **{name: wanted}))
        reason = check(asking, TRAIN)
        assert (reason is None) is fits
        assert fits or f"need no more than {reckoned} " in str(reason)
