"""Weight decay as a penalty: the baseline L2."""

from __future__ import annotations

from typing import Literal

from pydantic import NonNegativeFloat
from torch import Tensor

from bench.parts import Penalty, Step, penalty
from bench.parts.squares import half_squared_norm, trained


@penalty("l2")
class L2(Penalty):
    """α/2 ‖W‖² over the parameters that train, head included (Chen et al. 2019, eq. 2).

    ``weight`` is α: the paper does not state it; 5e-4 is in its released code. There it is the
    optimizer's weight decay and so acts on all parameters, biases and normalisations too; its
    gradient, αW, is the same. ``scope: weights`` leaves tensors of one dimension out.
    """

    weight: NonNegativeFloat = 5e-4
    scope: Literal["all", "weights"] = "all"

    def __call__(self, step: Step) -> Tensor:
        """Return α/2 ‖W‖²."""
        parameters = [
            *trained(step.backbone, self.scope).values(),
            *trained(step.head, self.scope).values(),
        ]
        return self.weight * half_squared_norm(parameters)

    @classmethod
    def invariants(cls, step: Step) -> dict[str, bool]:
        """The term is proportional to its weight."""
        return {
            "twice the weight, twice the term": bool(
                2 * cls(weight=0.25)(step) == cls(weight=0.5)(step)
            ),
            "zero at a weight of zero": bool(cls(weight=0.0)(step) == 0),
        }
