"""Checkpoints: a network's state as one safetensors file, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

from bench.errors import WeightsError
from bench.files import bytes_sha256, file_sha256, whole
from bench.models.network import Network, state_on_cpu

# One key with sorted JSON: the order of several keys in a safetensors header is not defined.
_METADATA = "retable"
State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint as read: tensors on the CPU.

    Attributes
    ----------
    name
        The backbone's.
    backbone
        By names within it; without what is private to tasks.
    heads
        By task (``""`` where there is one): ``weight`` and ``bias``. Tasks that share one have the
        same.
    private
        By task, by names within the backbone; empty where nothing is.
    trainings
        How many are behind its weights, at least one.
    beside
        By task, what its objective trained beside the head; without a task where nothing was.
    """

    name: str
    backbone: State
    heads: Mapping[str, State]
    private: Mapping[str, State] = field(default_factory=dict)
    trainings: int = 1
    beside: Mapping[str, State] = field(default_factory=dict)

    def backbone_of(self, task: str) -> State:
        """Return the backbone's whole state as a task has it."""
        return {**self.backbone, **self.private.get(task, {})}


def save_checkpoint(network: Network, path: Path) -> str:
    """Write a network's whole state and return the SHA-256 of the file's bytes.

    The names are ``backbone.*`` and ``head.*``, or with several tasks ``head.TASK.*`` (of a head
    that some share, the owner's) and, where modules are private, ``private.TASK.*``; of what
    objectives train beside the heads ``beside.TASK.*``. The file appears under its name complete
    or not at all. The same state gives the same bytes.
    """
    return write_tensors(path, state_on_cpu(network), facts_of(network))


def facts_of(network: Network) -> dict[str, object]:
    """Return what a file says of a trained network beside its tensors, JSON-ready."""
    facts: dict[str, object] = {"backbone": network.name, "trainings": network.trainings + 1}
    if network.tasks == ("",):
        facts["classes"] = network.widths[""]
    else:
        facts["tasks"] = list(network.tasks)
        if network.shared_heads:
            facts["shared_heads"] = network.shared_heads
    return facts


def load_checkpoint(path: Path, sha256: str | None = None) -> Checkpoint:
    """Read a file that ``save_checkpoint`` wrote.

    Parameters
    ----------
    sha256
        What the file's bytes must have been when it was written; not compared where not given.

    Raises
    ------
    WeightsError
        If the file is missing, is no safetensors file, lacks what a checkpoint must say, or has
        another digest.
    """
    tensors, facts = read_tensors(path, sha256)
    if "backbone" not in facts or not {"classes", "tasks"} & facts.keys():
        raise WeightsError(
            "is not a checkpoint of this program: it names no backbone",
            file=path,
            remedy="to start from other weights, list the file in the suite and use file:NAME",
        )
    if "body" in facts:
        raise WeightsError(
            "is a patch, and no checkpoint: without its body it is no network",
            file=path,
            remedy="use weights: stage:NAME@patch",
        )
    return checkpoint_of(tensors, facts)


def load_heads(path: Path, sha256: str) -> Mapping[str, State]:
    """Return the heads of a checkpoint or patch by task, without making a network of it.

    Raises
    ------
    WeightsError
        If the file cannot be read, or its bytes have another digest.
    """
    return checkpoint_of(*read_tensors(path, sha256)).heads


def checkpoint_of(tensors: State, facts: Mapping[str, object]) -> Checkpoint:
    """Return the checkpoint of a network's whole state and what its file says of it."""
    named = facts.get("tasks")
    tasks = [str(task) for task in named] if isinstance(named, list) else []
    shared = facts.get("shared_heads")
    owners = {task: task for task in tasks} | (shared if isinstance(shared, dict) else {})
    private = {task: _below(f"private.{task}.", tensors) for task in tasks}
    return Checkpoint(
        name=str(facts["backbone"]),
        backbone=_below("backbone.", tensors),
        heads=(
            {task: _below(f"head.{owners[task]}.", tensors) for task in tasks}
            if tasks
            else {"": _below("head.", tensors)}
        ),
        private=private if any(private.values()) else {},
        trainings=trainings_in(facts),
        beside={task: own for task in tasks or [""] if (own := _below(f"beside.{task}.", tensors))},
    )


def trainings_in(facts: Mapping[str, object]) -> int:
    """Return how many trainings a file's facts name; one where they name none."""
    named = facts.get("trainings")
    return named if isinstance(named, int) and named > 0 else 1


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, object] | None = None
) -> str:
    """Write tensors and JSON-ready facts to a safetensors file; return the file's SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {_METADATA: json.dumps(dict(facts or {}), sort_keys=True)}
    with whole(path) as part:
        save_file(dict(tensors), part, metadata=metadata)
        return file_sha256(part)


def read_tensors(
    path: Path, sha256: str | None = None
) -> tuple[dict[str, Tensor], dict[str, object]]:
    """Return a safetensors file's tensors, on the CPU, and the facts written with them.

    The file is read once: what is compared with ``sha256`` are the bytes that are then used.

    Raises
    ------
    WeightsError
        If the file is missing, is not a safetensors file, or has another digest.
    """
    try:
        content = path.read_bytes()
        found = bytes_sha256(content) if sha256 is not None else None
        if found != sha256:
            raise WeightsError(
                f"is not the file that was written: its SHA-256 is {str(found)[:12]}…, "
                f"not {str(sha256)[:12]}…",
                file=path,
                remedy="run the cell that made it again",
            )
        return load(content), _facts(content)
    except FileNotFoundError as error:
        raise WeightsError("there is no such file", file=path) from error
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(
            f"is not a readable safetensors file: {brief(error)}",
            file=path,
            remedy="save the weights with safetensors.torch.save_file; pickles are not read",
        ) from error


def _facts(content: bytes) -> dict[str, object]:
    """Return the facts in the header: 8 bytes of length, then JSON."""
    length = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + length]).get("__metadata__", {})
    facts: dict[str, object] = json.loads(metadata.get(_METADATA, "{}"))
    return facts


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


def _below(prefix: str, tensors: State) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
