"""Numeric settings of a cell: threads, determinism, TF32, autocast, randomness."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import wraps
from typing import TypeVar

import torch
from torch import Tensor

from bench.errors import UserError
from bench.scheduling.job import Job
from bench.spec.seeds import origin, stream_seed
from bench.training.numeric_settings import NumericSettings, current, float32_on, put

R = TypeVar("R")
_OVERRIDE = "NVIDIA_TF32_OVERRIDE"
_REDUCED = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@contextmanager
def deterministic(threads: int) -> Iterator[None]:
    """Run with deterministic algorithms, without TF32, on a fixed number of threads.

    The settings belong to the process; those found are put back at the end. Does not touch
    CUDA.

    Raises
    ------
    UserError
        If at the end they are not what they were set to: some of the numbers were made by others.
    """
    # cuBLAS is deterministic only with a fixed workspace, which it reads when it starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    wanted = NumericSettings(
        threads=max(1, threads),
        algorithms=True,
        warn_only=False,
        fill=False,
        benchmark=False,
        cudnn=True,
        float32=float32_on(tensor_cores=False),
    )
    with _held(wanted):
        yield


@contextmanager
def float32_of(precision: str, device: str) -> Iterator[None]:
    """Multiply float32 numbers as a recipe's precision says: by TF32, or else as IEEE has them.

    Raises
    ------
    UserError
        For TF32 where there is no GPU that has it, which would be float32 in silence, or where the
        environment decides in the place of the recipe; and as `deterministic`.
    """
    tensor_cores = precision == "tf32"
    if tensor_cores and device != "cuda":
        raise UserError(
            f"precision tf32 needs a GPU, and this cell runs on {device}",
            field="precision",
            remedy="use precision: float32, or --device cuda",
        )
    if device == "cuda":
        _check_gpu(tensor_cores)
    with _held(replace(current(), float32=float32_on(tensor_cores))):
        yield


def _check_gpu(tensor_cores: bool) -> None:
    """Raise UserError where a GPU would multiply float32 numbers otherwise than torch is asked."""
    if tensor_cores and torch.cuda.is_available() and torch.cuda.get_device_capability()[0] < 8:
        raise UserError(
            f"precision tf32 needs tensor cores that have it, and {torch.cuda.get_device_name()} "
            "is older than they are",
            field="precision",
            remedy="use precision: float32",
        )
    # CUDA's libraries follow it whatever they are asked for, and torch does not know.
    override = os.environ.get(_OVERRIDE, "")
    if override and override != str(int(tensor_cores)):
        raise UserError(
            f"{_OVERRIDE}={override} decides how float32 is multiplied, in place of the recipe",
            field="precision",
            remedy=f"unset {_OVERRIDE}",
        )


def in_its_precision(execute: Callable[[Job], R]) -> Callable[[Job], R]:
    """Let a function run each job in the precision that its cell's recipe names."""

    @wraps(execute)
    def executed(job: Job) -> R:
        recipe = job.cell.recipe
        with float32_of("float32" if recipe is None else recipe.precision, job.device):
            return execute(job)

    return executed


@contextmanager
def _held(wanted: NumericSettings) -> Iterator[None]:
    before = current()
    try:
        put(wanted)
        yield
        changed = current().differing(wanted)
    finally:
        put(before)
    if changed:
        raise UserError(
            f"numeric settings of the process were changed while the cell ran: {changed[0]}",
            remedy="let no part, and no library that it uses, change torch's threads, "
            "determinism or precisions",
        )


def limit_memory(device: str, share: float) -> None:
    """Let the process take no more than a share of a GPU's memory; nothing is done on a CPU.

    Where memory is short, cuDNN takes another engine, which gives other bits: what goes beyond
    the share fails instead.
    """
    if device == "cuda":
        torch.cuda.set_per_process_memory_fraction(share)


@contextmanager
def own_randomness(seed: int, device: str) -> Iterator[None]:
    """Seed torch's global random state from a cell's seed, and put back what was there after."""
    with torch.random.fork_rng(devices=[0] if device == "cuda" else []):
        seed_dropout(seed)
        yield


def seed_dropout(seed: int, trainings: int = 0) -> None:
    """Seed torch's global random state, which only a network's dropout draws from.

    The generators of all devices start anew: no number depends on what was drawn before.
    ``trainings`` are behind the network; see `bench.spec.seeds.origin`.
    """
    torch.manual_seed(stream_seed(seed, "dropout", *origin(trainings)))


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Return the autocast context of a precision, which does nothing for float32 and tf32.

    Raises
    ------
    UserError
        For float16 on a CPU, where it would need loss scaling that torch does not have there.
    """
    if precision not in _REDUCED:
        return nullcontext()
    if precision == "float16" and device.type != "cuda":
        raise UserError(
            f"precision float16 needs a GPU, and this cell runs on {device.type}",
            field="precision",
            remedy="use precision: bfloat16 or float32, or --device cuda",
        )
    return torch.autocast(device.type, dtype=_REDUCED[precision])


def wide(value: Tensor) -> Tensor:
    """Return a value of a half precision in float32."""
    # A network in float64 is being checked against an equation.
    return value if value.dtype == torch.float64 else value.float()
