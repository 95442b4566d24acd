"""DELTA: keep the inner feature maps that matter to the target task."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from bench.parts import Penalty, Step, penalty
from bench.parts.squares import half_squared_norm, trained

_F32 = torch.float32


@penalty("delta")
class Delta(Penalty):
    """γ Σ_j D_j ‖FM_j(W) − FM_j(W0)‖² + κ ‖head‖² (Li et al. 2019; Chen et al. 2019, eq. 4).

    j runs over the channels of the tapped maps, D_j is a channel's attention weight (they sum to
    one within a map), ``maps`` is γ and ``head`` is κ. The sources disagree on the scale:

    - ``released`` (default), as in Li et al.'s code and the Transfer-Learning-Library: each map's
      term is times c/(2hw), c its channels, so that the size of a map does not count, and the
      head's is halved.
    - ``equation``: as written above.

    Both sum over the images of the batch, not divided by their number. The defaults are the
    released code's (which has ``maps`` 0.1 for Stanford Dogs).
    """

    needs = ("source_maps", "channel-attention")
    maps: NonNegativeFloat = 0.01
    head: NonNegativeFloat = 0.01
    scale: Literal["released", "equation"] = "released"

    def __call__(self, step: Step) -> Tensor:
        """Return the maps' and the head's sum."""
        drift = step.features.new_zeros((), dtype=torch.promote_types(step.features.dtype, _F32))
        attention = step.measured["channel-attention"]
        for name, now in step.maps.items():
            drift = drift + self._drift(now, step.source_maps[name], attention[name])
        decay = half_squared_norm(trained(step.head).values())
        return self.maps * drift + self.head * (decay if self.scale == "released" else 2 * decay)

    def _drift(self, now: Tensor, source: Tensor, weights: Tensor) -> Tensor:
        # Under automatic mixed precision the maps are of half precision.
        dtype = torch.promote_types(now.dtype, _F32)
        squares = (now.to(dtype) - source.to(dtype)).square()
        # A matrix product would run in half precision where autocast is on.
        if self.scale == "equation":
            return (squares.sum(dim=(0, 2, 3)) * weights).sum()
        return (squares.mean(dim=(2, 3)).sum(dim=0) * weights).sum() * (len(weights) / 2)

    @classmethod
    def invariants(cls, step: Step) -> dict[str, bool]:
        """Equal maps cost nothing, and neither does a weight of zero."""
        same = replace(step, source_maps=step.maps)
        return {
            "zero for equal maps": bool(cls(maps=1.0, head=0.0)(same) == 0),
            "zero at weights of zero": bool(cls(maps=0.0, head=0.0)(step) == 0),
        }
