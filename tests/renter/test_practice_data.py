"""The practice renter's data is what its README says, and its orders are ones the market takes."""

import json
import subprocess
import sys
from pathlib import Path
from shutil import copy

import pytest

from desktop_app.core.catalogue import check
from desktop_app.renter.digits import INKS, varied_digits
from desktop_app.wire import tensors
from desktop_app.wire.bundle import catalogue
from desktop_app.wire.resources import resource
from tests.manifests import written

ORDERS = json.loads(resource("practice/orders.json").read_text())
NAMED = [(kind, order) for kind in ("train", "infer") for order in ORDERS[kind]]
KINDS = {"train": "train.classifier/1", "infer": "infer.batch/1"}


def unpacked(raw: bytes) -> dict[str, tuple[tuple[int, ...], bytes]]:
    length = int.from_bytes(raw[:8], "little")
    header, data = raw[8 : 8 + length], raw[8 + length :]
    return {name: (tensor.shape, data[tensor.begin : tensor.end]) for name, tensor in tensors.parse_header(header, len(data)).items()}


def shipped(part: str) -> dict[str, tuple[tuple[int, ...], bytes]]:
    return unpacked(resource(f"practice/digits-{part}.safetensors").read_bytes())


def test_the_files_are_made_again_to_the_byte(tmp_path: Path) -> None:
    script = copy(resource("practice/make_digits.py"), tmp_path)
    subprocess.run([sys.executable, script], check=True, timeout=120)
    for part in ("train", "heldout"):
        name = f"digits-{part}.safetensors"
        assert (tmp_path / name).read_bytes() == resource(f"practice/{name}").read_bytes()


def test_the_held_out_images_are_not_among_the_others() -> None:
    train, held_out = shipped("train"), shipped("heldout")
    assert train["images"][0] == (1442, 64)
    assert held_out["images"][0] == (355, 64)
    for labels in (train["labels"][1], held_out["labels"][1]):
        assert set(labels) == set(range(10))
    seen = {train["images"][1][at : at + 64] for at in range(0, 1442 * 64, 64)}
    assert not any(held_out["images"][1][at : at + 64] in seen for at in range(0, 355 * 64, 64))


def test_varied_digits_are_the_digits_moved_and_inked() -> None:
    raw = varied_digits()
    assert raw == varied_digits()
    shape, rows = unpacked(raw)["images"]
    assert shape == (1797 * 25 * len(INKS), 64)
    first = shipped("train")["images"][1][:64]
    assert rows[12 * 64 : 13 * 64] == first  # the middle of its 25 places, in full ink
    second_ink = 1797 * 25 * 64
    assert rows[second_ink + 12 * 64 : second_ink + 13 * 64] == bytes(pixel * 12 // 16 for pixel in first)
    up_left = b"".join(first[line * 8 + 2 : line * 8 + 8] + b"\0\0" for line in range(2, 8)) + bytes(16)
    assert rows[:64] == up_left
    down_right = bytes(16) + b"".join(b"\0\0" + first[line * 8 : line * 8 + 6] for line in range(6))
    assert rows[24 * 64 : 25 * 64] == down_right


@pytest.mark.parametrize(("kind", "order"), NAMED, ids=[order["name"] for _, order in NAMED])
def test_every_order_is_one_the_market_takes(kind: str, order: dict[str, object]) -> None:
    params = order["params"]
    assert isinstance(params, dict)
    manifest, _ = written(KINDS[kind], **params)
    assert check(manifest, catalogue()[KINDS[kind]]) is None
    assert 2_500 <= manifest.units <= 10_000  # milliseconds on the practice device
    assert manifest.units / manifest.steps >= 5


def test_inference_orders_name_a_training_of_the_same_shape() -> None:
    trainings = {order["name"]: order["params"] for order in ORDERS["train"]}
    assert len(trainings) == len(ORDERS["train"])
    for order in ORDERS["infer"]:
        model = trainings[order["model_of"]]
        assert all(order["params"][name] == model[name] for name in ("features", "classes", "width", "depth"))
        assert order["params"]["rows"] == 1797 * 25 * len(INKS)
