"""L2-SP: stay near the start."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import NonNegativeFloat
from torch import Tensor

from bench.parts import Penalty, Step, penalty
from bench.parts.squares import half_squared_distance, half_squared_norm, trained


@penalty("l2-sp")
class L2SP(Penalty):
    """shared/2 ‖W_S − W0_S‖² + head/2 ‖W_head‖² (Li et al. 2018; Chen et al. 2019, eq. 3).

    ``shared`` weighs the backbone and ``head`` the new layer. Li et al. call them α and β; Chen
    et al. exchange the letters, so that they are named here by what they weigh. Defaults and
    ``scope: weights`` (neither biases nor normalisations) are those of Li et al.'s released code;
    Chen et al. do not state theirs, and the Transfer-Learning-Library takes 0.01 and 0.01 on all
    parameters. The start is the checkpoint's parameters; no second network runs.
    """

    shared: NonNegativeFloat = 0.1
    head: NonNegativeFloat = 0.01
    scope: Literal["all", "weights"] = "weights"

    def __call__(self, step: Step) -> Tensor:
        """Return both halves' sum."""
        moving = trained(step.backbone, self.scope)
        drift = half_squared_distance([*moving.values()], [step.start[name] for name in moving])
        return self.shared * drift + self.head * half_squared_norm(
            trained(step.head, self.scope).values()
        )

    @classmethod
    def invariants(cls, step: Step) -> dict[str, bool]:
        """At the start the backbone's part is zero, and so is all at weights of zero."""
        at_start = replace(step, start={n: p.detach() for n, p in step.backbone.items()})
        return {
            "zero at the start": bool(cls(shared=1.0, head=0.0)(at_start) == 0),
            "zero at weights of zero": bool(cls(shared=0.0, head=0.0)(step) == 0),
        }
