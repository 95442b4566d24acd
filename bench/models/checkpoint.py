"""Checkpoints: a network's state as one safetensors file, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from bench.errors import WeightsError
from bench.files import file_sha256, whole
from bench.models.network import Network, state_on_cpu

# One key with sorted JSON: the order of several keys in a safetensors header is not defined.
_METADATA = "retable"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint as read: tensors on the CPU, by their names within backbone and head."""

    name: str
    classes: int
    backbone: Mapping[str, Tensor]
    head: Mapping[str, Tensor]


def save_checkpoint(network: Network, path: Path) -> str:
    """Write ``backbone.*`` and ``head.*`` and return the SHA-256 of the file's bytes.

    The file appears under its name complete or not at all. The same state gives the same bytes.
    """
    facts = {"backbone": network.name, "classes": network.classes}
    return write_tensors(path, state_on_cpu(network), facts)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a file that ``save_checkpoint`` wrote.

    Raises
    ------
    WeightsError
        If the file is missing, is no safetensors file, or lacks what a checkpoint must say.
    """
    tensors, facts = read_tensors(path)
    if not {"backbone", "classes"} <= facts.keys():
        raise WeightsError(
            "is not a checkpoint of this program: it names no backbone",
            file=path,
            remedy="to start from other weights, list the file in the suite and use file:NAME",
        )
    return Checkpoint(
        name=str(facts["backbone"]),
        classes=int(str(facts["classes"])),
        backbone=_below("backbone.", tensors),
        head=_below("head.", tensors),
    )


def restore(network: Network, path: Path) -> None:
    """Load a checkpoint of the same backbone and number of classes into ``network``.

    Raises
    ------
    WeightsError
        If the file cannot be read or does not fit.
    """
    checkpoint = load_checkpoint(path)
    try:
        network.backbone.load_state_dict(checkpoint.backbone)
        network.head.load_state_dict(checkpoint.head)
    except RuntimeError as error:
        raise WeightsError(f"does not fit {network.name}: {brief(error)}", file=path) from error


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, object] | None = None
) -> str:
    """Write tensors and JSON-ready facts to a safetensors file; return the file's SHA-256.

    The file appears under its name whole or not at all.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {_METADATA: json.dumps(dict(facts or {}), sort_keys=True)}
    with whole(path) as part:
        save_file(dict(tensors), part, metadata=metadata)
        digest = file_sha256(part)
    return digest


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, object]]:
    """Return a safetensors file's tensors, on the CPU, and the facts written with them.

    Raises
    ------
    WeightsError
        If the file is missing or is not a safetensors file.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            facts = json.loads((file.metadata() or {}).get(_METADATA, "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118
    except FileNotFoundError as error:
        raise WeightsError("there is no such file", file=path) from error
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise WeightsError(
            f"is not a readable safetensors file: {brief(error)}",
            file=path,
            remedy="save the weights with safetensors.torch.save_file; pickles are not read",
        ) from error


def state_sha256(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of a state: each tensor's name, dtype, shape and bytes, by name."""
    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name].detach().cpu().contiguous(memory_format=torch.contiguous_format)
        digest.update(f"{name}\x1f{value.dtype}\x1f{tuple(value.shape)}\x1e".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def brief(error: Exception, length: int = 400) -> str:
    """Return an error's text on one line, cut to ``length`` characters."""
    text = " ".join(str(error).split())
    return text if len(text) <= length else text[: length - 1] + "…"


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
