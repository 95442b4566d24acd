"""Numeric settings of the process: threads, determinism, TF32, autocast."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from bench.errors import UserError
from bench.spec.seeds import origin, stream_seed

# Its one attribute is made at run time.
_memory: Any = torch.utils.deterministic
_REDUCED = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@contextmanager
def deterministic(threads: int) -> Iterator[None]:
    """Run with deterministic algorithms, without TF32, on a fixed number of threads.

    The settings belong to the process; those found are put back at the end. Does not touch
    CUDA.
    """
    # cuBLAS is deterministic only with a fixed workspace, which it reads when it starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        _memory.fill_uninitialized_memory,
        torch.get_float32_matmul_precision(),
        torch.backends.cudnn.allow_tf32,
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.deterministic,
    )
    try:
        _set(max(1, threads), True, False, False, "highest", False, False, True)
        yield
    finally:
        _set(*before)


def _set(
    threads: int,
    algorithms: bool,
    warn_only: bool,
    fill: bool,
    matmul: str,
    tf32: bool,
    benchmark: bool,
    cudnn: bool,
) -> None:
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(algorithms, warn_only=warn_only)
    # Filling fresh memory finds bugs of torch's callers and costs time; nothing here reads it.
    _memory.fill_uninitialized_memory = fill
    torch.set_float32_matmul_precision(matmul)
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = benchmark
    torch.backends.cudnn.deterministic = cudnn


@contextmanager
def own_randomness(seed: int, device: str) -> Iterator[None]:
    """Seed torch's global random state from a cell's seed, and put back what was there after."""
    with torch.random.fork_rng(devices=[0] if device == "cuda" else []):
        seed_dropout(seed)
        yield


def seed_dropout(seed: int, trainings: int = 0) -> None:
    """Seed torch's global random state, which only a network's dropout draws from.

    ``trainings`` are behind the network; see `bench.spec.seeds.origin`.
    """
    torch.manual_seed(stream_seed(seed, "dropout", *origin(trainings)))


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Return the autocast context of a precision, which does nothing for float32.

    Raises
    ------
    UserError
        For float16 on a CPU, where it would need loss scaling that torch does not have there.
    """
    if precision == "float32":
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
