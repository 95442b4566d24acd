"""How far two networks are from each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from bench.errors import UserError
from bench.models.sections import HEAD, sections, submodule
from bench.parts import Line, Measured, Measurement, Measuring, measurement


@measurement("distance")
class Distance(Measurement):
    """‖θ₁ − θ₂‖₂ over the networks' parameters, in all and by module, summed in float64.

    Running statistics are no parameters. Counted are the backbone's parameters; with ``head:
    counted`` those of the head too, which must have one shape in both networks; with ``scalars:
    left-out`` none that have one element, as the biases and scales of Fixup have.
    ``distance/relative`` is divided by the norm of the first network's counted parameters.

    The curve is over the modules of the backbone that have parameters of their own, numbered from
    1 in their order in the network; the number of one that has none that are counted is left out.
    ``modules`` names modules of the backbone, each with all that lies within it, and ``head`` is
    the head, whether or not it is counted in all.
    """

    roles = ("first", "second")
    data = "none"
    metrics = {
        "distance": ("", "lowest"),
        "distance/relative": ("", "lowest"),
        "distance/{modules}": ("", "lowest"),
    }
    curves = {"distance/module": "module"}
    modules: dict[str, str] = {}
    head: Literal["left-out", "counted"] = "left-out"
    scalars: Literal["counted", "left-out"] = "counted"

    def __call__(self, measuring: Measuring) -> Measured:
        """Return the distances."""
        networks = [measuring.network(role) for role in self.roles]
        backbones = [network.backbone for network in networks]
        _check_alike(backbones, "measure.roles")
        pairs = list(zip(*map(self._own, backbones), strict=True))
        squares = [_square(first - second) for first, second in pairs]
        counted = [number for number, (own, _) in enumerate(pairs) if own.numel()]
        by_module = [math.sqrt(squares[number]) for number in counted]
        heads = []
        if self.head == "counted":
            both = [submodule(network, HEAD, part="distance") for network in networks]
            heads = self._pairs(both, HEAD, "head")
        whole = math.sqrt(sum(squares) + sum(_square(first - second) for first, second in heads))
        norm = math.sqrt(sum(_square(own) for own, _ in [*pairs, *heads]))
        if not norm:
            raise UserError("all parameters of the first network that are counted are zero")
        named = {}
        given = [sections(network, self.modules, part="distance") for network in networks]
        for shown, path in self.modules.items():
            pairs_of = self._pairs([each[shown] for each in given], path, f"modules.{shown}")
            named[f"distance/{shown}"] = math.sqrt(sum(_square(a - b) for a, b in pairs_of))
        return Measured(
            {"distance": whole, "distance/relative": whole / norm, **named},
            {"distance/module": Line([number + 1 for number in counted], by_module)},
            {"modules": torch.tensor(by_module)},
        )

    def _own(self, module: nn.Module) -> list[Tensor]:
        """Return what each module that lies within has itself: its counted parameters, flat."""
        found = []
        for inner in module.modules():
            own = [p.detach().double().flatten() for p in inner.parameters(recurse=False)]
            if own:
                counted = [p for p in own if self.scalars == "counted" or p.numel() > 1]
                found.append(torch.cat(counted).cpu() if counted else torch.zeros(0))
        return found

    def _pairs(
        self, modules: Sequence[nn.Module], path: str, parameter: str
    ) -> list[tuple[Tensor, Tensor]]:
        """Return the counted parameters of a module of both networks.

        Raises
        ------
        UserError
            If there are none, or they differ in shape, or a network came without a head.
        """
        field = f"measure.part.distance.{parameter}"
        if path == HEAD:
            _check_heads(modules, field)
        _check_alike(modules, field, path)
        first, second = (self._own(module) for module in modules)
        if not any(own.numel() for own in first):
            raise UserError(
                f"{path} has no parameters that are counted",
                field=field,
                remedy="name a module that has, or count scalars",
            )
        return list(zip(first, second, strict=True))


def _square(values: Tensor) -> float:
    return float(values.square().sum())


def _check_alike(modules: Sequence[nn.Module], field: str, path: str = "") -> None:
    first, second = ({n: p.shape for n, p in m.named_parameters()} for m in modules)
    if first != second:
        of = f" of {path}" if path else ""
        raise UserError(
            f"the two networks do not have the same parameters{of}",
            field=field,
            remedy="give both roles one backbone, and heads of one task",
        )


def _check_heads(heads: Sequence[nn.Module], field: str) -> None:
    # A network that came without a head is given one of zeros, of one output where no data are.
    for role, head in zip(Distance.roles, heads, strict=True):
        assert isinstance(head, nn.Linear)
        if head.out_features == 1 and not any(p.any() for p in head.parameters()):
            raise UserError(
                f"the network {role} came without a head",
                field=field,
                remedy="leave the head out, or measure networks that were trained",
            )
