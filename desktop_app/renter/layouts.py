"""What a result's files must hold, by their roles, so that the check of them cannot stumble. Called by `acceptance`."""

import math
from collections.abc import Callable
from pathlib import Path

from desktop_app.core.classifier import Params, shape_of
from desktop_app.core.transformer import adapter_config, adapter_of, decoder_of
from desktop_app.wire import tensors

_Layout = dict[str, tuple[str, tuple[int, ...]]]


def layout_refusal(path: Path, role: str, params: Params) -> str | None:
    """Why the file is not just what the kind makes, or None."""
    if role == "adapter_config":  # peft would import whatever another one names
        expected = adapter_config(params)
        with path.open("rb") as file:
            same = file.read(len(expected) + 1) == expected
        return None if same else "the adapter's configuration is not the one that the parameters make"
    found = {name: (tensor.dtype, tensor.shape) for name, tensor in _header(path).items()}
    return None if found == _LAYOUTS[role](params) else f"the file for {role} does not hold the tensors that were asked for"


def held_out_rows(path: Path, params: Params) -> int:
    """How many rows the renter kept back: labelled ones, or as many as its tokens make."""
    header = _header(path)
    if "labels" in header:
        return header["labels"].shape[0]
    return math.prod(header["tokens"].shape) // int(params["context"])


def _header(path: Path) -> dict[str, tensors.Tensor]:
    with path.open("rb") as file:
        return tensors.read_header(file, path.stat().st_size)


def _model(params: Params) -> _Layout:
    return {name: ("F32", shape) for name, shape in shape_of(params).tensors().items()}


def _predictions(params: Params) -> _Layout:
    rows, classes = int(params["rows"]), int(params["classes"])
    return {"labels": ("U8", (rows,)), "logits": ("F32", (rows, classes))}


def _adapter(params: Params) -> _Layout:
    return {name: ("F32", shape) for name, shape in adapter_of(params).tensors(decoder_of(params)).items()}


def _embeddings(params: Params) -> _Layout:
    return {"embeddings": ("F32", (int(params["rows"]), int(params["hidden"])))}


_LAYOUTS: dict[str, Callable[[Params], _Layout]] = {
    "model": _model,
    "predictions": _predictions,
    "adapter": _adapter,
    "embeddings": _embeddings,
}
