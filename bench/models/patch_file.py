"""Patch files: all that a training may have changed, beside the body that it started from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from bench.errors import UserError, WeightsError
from bench.models.checkpoint import (
    Checkpoint,
    State,
    checkpoint_of,
    facts_of,
    read_tensors,
    write_tensors,
)
from bench.models.network import Network, state_on_cpu

_BACKBONE = "backbone."


@dataclass(frozen=True)
class Body:
    """What a patch belongs to: a backbone's state as loaded, on the CPU, and its digest."""

    state: State
    sha256: str


def may_change(network: Network) -> frozenset[str]:
    """Return the names, in a network's state, of what training as it is set now may change.

    That is every parameter that trains, and the buffers of normalisations in training mode.

    Raises
    ------
    UserError
        If everything trains: a patch would be the whole network.
    """
    names = {
        name for name, p in network.named_parameters(remove_duplicate=False) if p.requires_grad
    }
    body = list(network.backbone.parameters())
    if body and all(parameter.requires_grad for parameter in body):
        raise UserError(
            f"a patch of {network.name} would be the whole network: all of its parameters train",
            field="trainable",
            remedy="start from stage:NAME, without @patch, or train a part of it",
        )
    for prefix, module in network.named_modules(remove_duplicate=False):
        if isinstance(module, _BatchNorm) and module.training:
            names |= {f"{prefix}.{name}" for name, _ in module.named_buffers(recurse=False)}
    return frozenset(names)


def save_patch(network: Network, path: Path, body: Body, changing: frozenset[str]) -> str:
    """Write what makes a network of its body, and return the SHA-256 of the file's bytes.

    Names are those of `save_checkpoint`. Of the backbone only what is in ``changing``, or does
    differ from the body, is written; heads and what is private to tasks always are.
    """
    state = state_on_cpu(network)
    ours = {n.removeprefix(_BACKBONE): t for n, t in state.items() if n.startswith(_BACKBONE)}
    gone = {name: value for name, value in body.state.items() if name not in ours}
    moved: dict[str, str] = {}
    left_out: set[str] = set()
    for name, value in ours.items():
        if f"{_BACKBONE}{name}" in changing:
            continue
        if name in body.state:
            unchanged = _same_bits(value, body.state[name])
        else:
            # A module that was put into another one has another name, and may be as it was.
            before = next((n for n, old in gone.items() if _same_bits(value, old)), None)
            unchanged = before is not None
            moved |= {name: before} if before is not None else {}
        left_out |= {f"{_BACKBONE}{name}"} if unchanged else set()
    facts = facts_of(network) | {"body": body.sha256}
    facts |= {"gone": sorted(gone)} if gone else {}
    facts |= {"moved": moved} if moved else {}
    facts["heads"] = {task: list(head.weight.shape) for task, head in network.heads.items()}
    return write_tensors(path, {n: t for n, t in state.items() if n not in left_out}, facts)


def load_patch(path: Path, body: Body, sha256: str | None = None) -> Checkpoint:
    """Return the checkpoint that a patch file makes of its body, bit for bit what was trained.

    Parameters
    ----------
    sha256
        What the file's bytes must have been when it was written; not compared where not given.

    Raises
    ------
    WeightsError
        If the file is no patch, has another digest, or belongs to another body.
    """
    tensors, facts = read_tensors(path, sha256)
    if "body" not in facts:
        raise WeightsError("is not a patch: it names no body that it belongs to", file=path)
    if facts["body"] != body.sha256:
        raise WeightsError(
            f"this patch belongs to a body whose state has the SHA-256 {str(facts['body'])[:12]}…, "
            f"and is laid over one that has {body.sha256[:12]}…",
            file=path,
            remedy="give it the weights that its training started from",
        )
    gone, moved = facts.get("gone", []), facts.get("moved", {})
    assert isinstance(gone, list)
    assert isinstance(moved, Mapping)
    kept = {name: value for name, value in body.state.items() if name not in gone}
    kept |= {name: body.state[before] for name, before in moved.items()}
    return checkpoint_of({f"{_BACKBONE}{n}": t for n, t in kept.items()} | tensors, facts)


def _same_bits(one: Tensor, other: Tensor) -> bool:
    # Zeros of two signs are equal numbers, and so is nothing that is not a number.
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    bytes_of = [value.contiguous().reshape(-1).view(torch.uint8) for value in (one, other)]
    return torch.equal(*bytes_of)
