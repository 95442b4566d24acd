"""Sets of a network's parameters that papers train on their own, and how the rest is frozen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from bench.errors import UserError
from bench.models.network import Network

NORMALISATIONS = (_BatchNorm, nn.GroupNorm, nn.LayerNorm)
Statistics = Literal["frozen", "moving"]


def is_depthwise(module: nn.Module) -> bool:
    """Whether a module is a convolution with filters of each input channel's own."""
    return isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1


def scales_and_biases(network: Network) -> list[nn.Parameter]:
    """Return γ and β of every batch, group and layer normalisation, each task's own included.

    Raises
    ------
    UserError
        If there is none.
    """
    norms = (m for m in network.body().modules() if isinstance(m, NORMALISATIONS))
    found = [p for norm in norms for p in norm.parameters(recurse=False)]
    return _some(network, found, "no batch, group or layer normalisation with scales and biases")


def depthwise_filters(network: Network) -> list[nn.Parameter]:
    """Return the filters of every depthwise convolution, without biases.

    Raises
    ------
    UserError
        If there is none.
    """
    found = [
        parameter
        for module in network.body().modules()
        if is_depthwise(module)
        for name, parameter in module.named_parameters(recurse=False)
        if name == "weight"
    ]
    remedy = "; the patch added-depthwise gives a network some"
    return _some(network, found, "no depthwise convolution", remedy)


def _some(
    network: Network, found: list[nn.Parameter], lack: str, further: str = ""
) -> list[nn.Parameter]:
    if not found:
        raise UserError(
            f"{network.name} has {lack}",
            field="trainable",
            remedy=f"use another backbone, or another trainable set, such as head or all{further}",
        )
    return found


def train_only(
    network: Network,
    parameters: Sequence[nn.Parameter],
    *,
    last_layer: bool,
    statistics: Statistics,
) -> None:
    """Freeze all but some parameters of the body, and the heads too without ``last_layer``.

    The body is in evaluation mode: nothing is dropped out, and no path. With ``moving``
    statistics its batch normalisations alone are not, so that they normalise by each batch and
    their running statistics follow.
    """
    body = network.body().requires_grad_(False).eval()
    for parameter in parameters:
        parameter.requires_grad_(True)
    for head in network.heads.values():
        head.requires_grad_(last_layer)
    if statistics == "moving":
        for module in body.modules():
            if isinstance(module, _BatchNorm):
                # Not train(): what timm keeps within one, such as a dropout, stays as it is.
                module.training = True
