"""How far two networks are from each other."""

from __future__ import annotations

import math

import torch

from bench.errors import UserError
from bench.models.network import Network
from bench.parts import Line, Measured, Measurement, Measuring, measurement


@measurement("distance")
class Distance(Measurement):
    """‖θ₁ − θ₂‖₂ over the backbones' parameters, in all and by module, summed in float64.

    Running statistics are no parameters; heads are left out, since tasks differ in them. A
    module is whatever has parameters of its own; the curve's axis numbers them from 1 in their
    order in the network.
    """

    roles = ("first", "second")
    data = "none"
    metrics = {"distance": ("", "lowest"), "distance/relative": ("", "lowest")}
    curves = {"distance/module": "module"}

    def __call__(self, measuring: Measuring) -> Measured:
        """Return the distances; ``relative`` is divided by the first network's norm."""
        first, second = (_modules(measuring.network(role)) for role in self.roles)
        if {n: m.shape for n, m in first.items()} != {n: m.shape for n, m in second.items()}:
            raise UserError(
                "the two networks do not have the same parameters",
                field="measure.roles",
                remedy="give both roles one backbone",
            )
        squares = {n: float((first[n] - second[n]).square().sum()) for n in first}
        norm = math.sqrt(sum(float(value.square().sum()) for value in first.values()))
        whole = math.sqrt(sum(squares.values()))
        return Measured(
            {"distance": whole, "distance/relative": whole / norm if norm else 0.0},
            {
                "distance/module": Line(
                    range(1, len(squares) + 1), [math.sqrt(s) for s in squares.values()]
                )
            },
            {"modules": torch.tensor([math.sqrt(s) for s in squares.values()])},
        )


def _modules(network: Network) -> dict[str, torch.Tensor]:
    found = {}
    for name, module in network.backbone.named_modules():
        own = [p.detach().double().flatten() for p in module.parameters(recurse=False)]
        if own:
            found[name] = torch.cat(own).cpu()
    return found
