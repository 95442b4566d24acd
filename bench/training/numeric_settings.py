"""Torch's numeric settings of the process, read and written as one value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch

# Its one attribute is made at run time.
_memory: Any = torch.utils.deterministic
_backends: Any = torch.backends
# Torch 2.9 has a precision for each operator, and raises where both ways of saying it are mixed.
_BY_OPERATOR = hasattr(torch.backends.cuda.matmul, "fp32_precision")
_OPERATORS: Mapping[str, Callable[[], Any]] = {
    "matmul": lambda: _backends.cuda.matmul,
    "convolution": lambda: _backends.cudnn.conv,
    "recurrence": lambda: _backends.cudnn.rnn,
    "cpu matmul": lambda: _backends.mkldnn.matmul,
    "cpu convolution": lambda: _backends.mkldnn.conv,
    "cpu recurrence": lambda: _backends.mkldnn.rnn,
}
_ON_TENSOR_CORES = frozenset({"matmul", "convolution"})


@dataclass(frozen=True)
class NumericSettings:
    """What may change the bits of a result, and belongs to the whole process.

    Attributes
    ----------
    float32
        Operator to how it multiplies float32 numbers, in torch's words.
    """

    threads: int
    algorithms: bool
    warn_only: bool
    fill: bool
    benchmark: bool
    cudnn: bool
    float32: Mapping[str, Any]

    def differing(self, other: NumericSettings) -> list[str]:
        """Return what another has otherwise, each as ``name: this, not that``."""
        found = [
            f"{each.name}: {getattr(self, each.name)}, not {getattr(other, each.name)}"
            for each in fields(self)
            if each.name != "float32" and getattr(self, each.name) != getattr(other, each.name)
        ]
        return found + [
            f"{name}: {value}, not {other.float32[name]}"
            for name, value in self.float32.items()
            if value != other.float32[name]
        ]


def current() -> NumericSettings:
    """Return the settings of the process as they are."""
    return NumericSettings(
        threads=torch.get_num_threads(),
        algorithms=torch.are_deterministic_algorithms_enabled(),
        warn_only=torch.is_deterministic_algorithms_warn_only_enabled(),
        fill=_memory.fill_uninitialized_memory,
        benchmark=torch.backends.cudnn.benchmark,
        cudnn=torch.backends.cudnn.deterministic,
        float32=_float32(),
    )


def put(settings: NumericSettings) -> None:
    """Give the process settings."""
    torch.set_num_threads(settings.threads)
    torch.use_deterministic_algorithms(settings.algorithms, warn_only=settings.warn_only)
    # Filling fresh memory finds bugs of torch's callers and costs time; nothing here reads it.
    _memory.fill_uninitialized_memory = settings.fill
    torch.backends.cudnn.benchmark = settings.benchmark
    torch.backends.cudnn.deterministic = settings.cudnn
    _put_float32(settings.float32)


def float32_on(tensor_cores: bool) -> dict[str, Any]:
    """Return how float32 is multiplied: IEEE throughout, or on CUDA by TF32.

    TF32 is for matrix products and convolutions on CUDA alone.
    """
    if _BY_OPERATOR:
        return {
            name: "tf32" if tensor_cores and name in _ON_TENSOR_CORES else "ieee"
            for name in _OPERATORS
        }
    return {"matmul": "high" if tensor_cores else "highest", "convolution": tensor_cores}


def _float32() -> dict[str, Any]:
    if _BY_OPERATOR:
        return {name: where().fp32_precision for name, where in _OPERATORS.items()}
    return {
        "matmul": torch.get_float32_matmul_precision(),
        "convolution": torch.backends.cudnn.allow_tf32,
    }


def _put_float32(values: Mapping[str, Any]) -> None:
    if _BY_OPERATOR:
        for name, value in values.items():
            _OPERATORS[name]().fp32_precision = value
        return
    torch.set_float32_matmul_precision(values["matmul"])
    torch.backends.cudnn.allow_tf32 = values["convolution"]


def told() -> dict[str, str]:
    """Return the settings for a record: matrix products, convolutions, determinism.

    ``ieee`` is float32 as IEEE 754 has it; ``tf32`` has ten bits of fraction.
    """
    now = current()
    tf32 = {"tf32", "high", "True"}
    said = {name: "tf32" if str(now.float32[name]) in tf32 else "ieee" for name in _ON_TENSOR_CORES}
    strict = now.algorithms and not now.warn_only and now.cudnn
    return {
        **said,
        "deterministic": "yes" if strict else "no",
        "autotuning": "yes" if now.benchmark else "no",
    }
