"""Optimizers of torch and timm with one learning rate for the backbone and one for the head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from timm.optim.adan import Adan
from torch import nn

from bench.models.network import Network
from bench.spec.recipe import Optimizer
from bench.training.loss import body_parameters


def _adan(groups: list[dict[str, Any]], **settings: Any) -> torch.optim.Optimizer:
    optimizer: torch.optim.Optimizer = Adan(groups, **settings)
    optimizer.register_step_post_hook(_count_from_the_first_gradient)
    return optimizer


def _count_from_the_first_gradient(
    optimizer: torch.optim.Optimizer, args: object, kwargs: object
) -> None:
    # timm counts a group's steps in a warm-up too, where it has no gradients: the moments, which
    # begin at zero only then, would not be corrected for it.
    for group in optimizer.param_groups:
        if all(parameter.grad is None for parameter in group["params"]):
            group["step"] = 0


_MAKERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "radam": torch.optim.RAdam,
    "rmsprop": torch.optim.RMSprop,
    "adan": _adan,
}


def build_optimizer(
    optimizer: Optimizer, network: Network, *, scalar_rate: float = 1.0
) -> torch.optim.Optimizer:
    """Return the optimizer with a group for the backbone and one for the heads.

    What objectives train beside a head is in the heads' group. Parameters that do not train are
    left out, and so is a group without any. Each group keeps its rate before scheduling under
    ``initial_lr``. Decay is a penalty and not the optimizer's, but for AdamW's and Adan's own.
    Averaged velocities, V ← mV + (1 − m)αg from V = 0, are 1 − m times summed ones, B ← mB + g,
    at the same rate, so that they are torch's with rates as much smaller; ``scale_rates`` gives
    the rate as written.

    Parameters
    ----------
    scalar_rate
        Rate of the backbone's parameters of one element, relative to the backbone's. They have a
        group of their own, before the others, where it is not 1.
    """
    settings: dict[str, Any] = optimizer.settings.model_dump()
    step_scale = 1.0
    if settings.pop("velocity", "sum") == "average":
        step_scale = 1 - settings["momentum"]
    head_rate = settings.pop("lr")
    backbone_rate = settings.pop("backbone_lr")
    if backbone_rate is None:
        backbone_rate = head_rate
    # Tasks may share a head, and a parameter is updated once.
    heads = nn.ModuleList([*network.heads.values(), *network.beside.values()]).parameters()
    body = list(body_parameters(network).values())
    scalars = [p for p in body if scalar_rate != 1 and p.numel() == 1]
    others = [p for p in body if scalar_rate == 1 or p.numel() != 1]
    groups = []
    # The head's is the last: ``scale_rates`` tells its rate.
    for name, parameters, rate in (
        ("scalars", scalars, scalar_rate * backbone_rate),
        ("backbone", others, backbone_rate),
        ("head", heads, head_rate),
    ):
        training = [p for p in parameters if p.requires_grad]
        if training:
            groups.append(
                {
                    "name": name,
                    "params": training,
                    "lr": rate,
                    "initial_lr": rate,
                    "step_scale": step_scale,
                }
            )
    return _MAKERS[optimizer.choice](groups, lr=head_rate, **settings)


def scale_rates(optimizer: torch.optim.Optimizer, factor: float) -> float:
    """Set every group's learning rate to ``factor`` times its own, and return the head's."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor * group["step_scale"]
    rate: float = optimizer.param_groups[-1]["initial_lr"] * factor
    return rate
