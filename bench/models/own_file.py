"""What a file of weights says of itself: whose they are, and the head that it has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from timm.models import get_pretrained_cfg
from torch import Tensor

from bench.errors import WeightsError
from bench.models.architecture import known_architecture
from bench.models.checkpoint import load_checkpoint, read_tensors


class OwnFile(NamedTuple):
    """The network's name, where the file says one, and the classes of its head; 0 without one."""

    backbone: str | None
    classes: int


def described(path: Path, backbone: str | None) -> OwnFile:
    """Return what a safetensors file of weights says of itself.

    Parameters
    ----------
    backbone
        timm's name of the network, whose classifier's name there is the head's in the file; None
        where it is no network of timm's, whose weights have no head but in a checkpoint of ours.

    Raises
    ------
    WeightsError
        If the file is missing or no safetensors file, or is a patch, or timm has no such network.
    """
    tensors, facts = read_tensors(path)
    if "backbone" in facts:
        checkpoint = load_checkpoint(path)
        weight = checkpoint.heads.get("", {}).get("weight")
        return OwnFile(checkpoint.name, 0 if weight is None else len(weight))
    if backbone is None:
        return OwnFile(None, 0)
    return OwnFile(None, _classes(tensors, known_architecture(backbone)))


def described_predictions(path: Path) -> None:
    """Check that a file holds predictions: ``outputs`` with ``targets`` beside them, by task.

    Raises
    ------
    WeightsError
        If the file cannot be read, or lacks them.
    """
    tensors, _ = read_tensors(path)
    whole = {n.removesuffix("outputs") for n in tensors if n.endswith("outputs")}
    if not whole or any(f"{prefix}targets" not in tensors for prefix in whole):
        raise WeightsError(
            "holds no predictions",
            file=path,
            remedy="save outputs (n, classes) and targets (n) with safetensors.torch.save_file",
        )


def _classes(tensors: Mapping[str, Tensor], architecture: str) -> int:
    config = get_pretrained_cfg(architecture)
    # Distilled transformers have two; the first is the one that is trained on classes.
    classifier = getattr(config, "classifier", None)
    names = (classifier,) if isinstance(classifier, str) else tuple(classifier or ())
    weights = (tensors[f"{name}.weight"] for name in names if f"{name}.weight" in tensors)
    weight = next(weights, None)
    return 0 if weight is None else len(weight)
