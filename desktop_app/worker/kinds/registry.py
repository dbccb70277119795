"""From a kind's name to the code that computes it: the one list of what a worker can do. Called by `worker.main`."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from desktop_app.core.classifier import Params
from desktop_app.worker.kinds import Kind
from desktop_app.worker.kinds.bench import Bench
from desktop_app.worker.kinds.checks import CheckClassifier, CheckPredictions
from desktop_app.worker.kinds.embed import CheckEmbeddings, Embed
from desktop_app.worker.kinds.infer_batch import InferBatch
from desktop_app.worker.kinds.lora import TrainLora
from desktop_app.worker.kinds.lora_check import CheckLora
from desktop_app.worker.kinds.train_classifier import TrainClassifier

Maker = Callable[[Mapping[str, Path], Params, int, torch.device], Kind]

KINDS: dict[str, Maker] = {
    "train.classifier/1": TrainClassifier,
    "train.lora/1": TrainLora,
    "infer.batch/1": InferBatch,
    "embed/1": Embed,
    "bench/1": Bench,
    "check.classifier/1": CheckClassifier,
    "check.predictions/1": CheckPredictions,
    "check.lora/1": CheckLora,
    "check.embeddings/1": CheckEmbeddings,
}


def load(kind: str, inputs: Mapping[str, Path], params: Params, seed: int, device: str) -> Kind:
    """A task ready for its first step: `inputs` are files by role, `device` is torch's name ("cpu", "cuda").

    ValueError, in a sentence, when the kind is unknown or the data does not fit the parameters.
    """
    if kind not in KINDS:
        raise ValueError(f"this machine knows no task of the kind {kind}")
    return KINDS[kind](inputs, params, seed, torch.device(device))
