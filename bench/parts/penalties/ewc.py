"""Elastic weight consolidation: stay near the start where the earlier task depends on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from bench.errors import UserError
from bench.parts import Penalty, Step, penalty
from bench.parts.squares import trained


@penalty("ewc")
class ElasticWeightConsolidation(Penalty):
    """λ/2 Σ_i F_i (θ_i − θ*_i)² over the parameters that train (Kirkpatrick et al. 2017, eq. 3).

    F is the diagonal of the Fisher information of the earlier task at θ*, the start, as the
    measurement ``fisher`` finds it, and ``weight`` is λ, which the paper does not state for MNIST.
    What a patch has added has no F and is free.

    Where both tasks use one head, as in permuted MNIST, it is one of the parameters: ``head:
    anchored``, for a recipe with ``head: kept``. A new head for other classes is ``free``.
    """

    needs = ("fisher",)
    weight: NonNegativeFloat = 1.0
    head: Literal["anchored", "free"] = "anchored"

    def __call__(self, step: Step) -> Tensor:
        """Return the term; raises UserError if the head to be anchored is not the earlier one."""
        wide = torch.promote_types(step.features.dtype, torch.float32)
        total = step.features.new_zeros((), dtype=wide)
        for information, now, start in self._parameters(step):
            total = total + (information * (now - start).square()).sum()
        return self.weight / 2 * total

    def _parameters(self, step: Step) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield the information, the value and the start of each parameter that is anchored."""
        fisher = step.measured["fisher"]
        for name, now in trained(step.backbone).items():
            if name in fisher:
                yield fisher[name], now, step.start[name]
        if self.head == "free":
            return
        for name, now in trained(step.head).items():
            start = fisher.get(f"start/head/{name}")
            if start is None or start.shape != now.shape:
                earlier = "none" if start is None else f"one of shape {tuple(start.shape)}"
                raise UserError(
                    f"ewc is to anchor the head's {name}, of shape {tuple(now.shape)}, and the "
                    f"earlier task has {earlier}",
                    field="penalties.ewc.head",
                    remedy="use head: free",
                )
            yield fisher[f"head/{name}"], now, start

    @classmethod
    def invariants(cls, step: Step) -> dict[str, bool]:
        """At the start it is zero, and its gradient is λ F (θ − θ*)."""
        fisher = step.measured["fisher"]
        starts = {name: fisher[f"start/head/{name}"] for name in step.head}
        at_start = replace(
            step, start={n: p.detach() for n, p in step.backbone.items()}, head=starts
        )
        moving = [*trained(step.backbone).items(), *trained(step.head).items()]
        slopes = torch.autograd.grad(cls(weight=3.0)(step), [p for _, p in moving])
        expected = [
            *(3 * fisher[n] * (p - step.start[n]) for n, p in trained(step.backbone).items()),
            *(3 * fisher[f"head/{n}"] * (p - starts[n]) for n, p in trained(step.head).items()),
        ]
        return {
            "zero at the start": bool(cls(weight=1.0, head="free")(at_start) == 0),
            "the gradient is λ F (θ − θ*)": all(map(torch.allclose, slopes, expected)),
            "zero at a weight of zero": bool(cls(weight=0.0)(step) == 0),
        }
