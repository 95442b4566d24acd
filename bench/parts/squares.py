"""Half the squared norm of many tensors at once, the common part of penalties on parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Scope = Literal["all", "weights"]


def trained(parameters: Mapping[str, Tensor], scope: Scope = "all") -> dict[str, Tensor]:
    """Return the parameters that train: all of them, or ``weights`` only.

    Weights are tensors of two or more dimensions: convolutions and linear maps, neither biases
    nor the scales and shifts of normalisations.
    """
    return {
        n: p for n, p in parameters.items() if p.requires_grad and (scope == "all" or p.ndim > 1)
    }


def half_squared_norm(tensors: Iterable[Tensor]) -> Tensor:
    """Return ½ Σ ‖t‖², a scalar; its gradient is each tensor itself."""
    given = list(tensors)
    return _HalfSquares.apply(len(given), *given) if given else torch.zeros(())


def half_squared_distance(tensors: Sequence[Tensor], origins: Sequence[Tensor]) -> Tensor:
    """Return ½ Σ ‖t − origin‖², a scalar; the origins get no gradient."""
    if len(tensors) != len(origins):
        raise ValueError(f"{len(tensors)} tensors, but {len(origins)} origins")
    return _HalfSquares.apply(len(tensors), *tensors, *origins) if tensors else torch.zeros(())


class _HalfSquares(torch.autograd.Function):
    """One fused pass: a network has hundreds of tensors, and a graph node each costs more."""

    @staticmethod
    def forward(ctx: Any, count: int, *tensors: Tensor) -> Tensor:
        values = list(tensors[:count])
        if len(tensors) > count:
            values = list(torch._foreach_sub(values, list(tensors[count:])))
        ctx.others = len(tensors) - count
        ctx.save_for_backward(*values)
        return torch.stack(torch._foreach_norm(values)).square().sum() / 2

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        values = list(ctx.saved_tensors)
        return None, *torch._foreach_mul(values, gradient), *[None] * ctx.others
