"""How a network is built: timm's by their names, others by their parts."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import timm
from torch import nn

from bench.errors import WeightsError, did_you_mean
from bench.models.pooling import enlarge_deterministically


@dataclass(frozen=True)
class NetworkBuilder:
    """A network that is not timm's.

    Attributes
    ----------
    name
        What messages and checkpoints call it; networks of one name have states of one form.
    build
        From the shape of one input to a module that maps inputs ``(b, …)`` to features ``(b, d)``
        and has d as ``num_features``; its weights are drawn from torch's global stream.
    """

    name: str
    build: Callable[[tuple[int, ...]], nn.Module]


@dataclass(frozen=True)
class Blueprint:
    """A network to be built.

    ``architecture`` is what its checkpoints must be of: a timm name's tag tells only where weights
    came from.
    """

    name: str
    architecture: str
    create: Callable[[], nn.Module]
    timm: bool

    def fits(self, name: str) -> bool:
        """Whether a checkpoint of a network of that name is one of this."""
        return (_architecture(name) if self.timm else name) == self.architecture


def blueprint(network: str | NetworkBuilder, input_shape: tuple[int, ...] | None) -> Blueprint:
    """Return how to build a network: timm's of that name, or the builder's for an input's shape."""
    return _named(network) if isinstance(network, str) else _built(network, input_shape)


def _named(name: str) -> Blueprint:
    return Blueprint(name, _architecture(name), lambda: create_backbone(name), timm=True)


def _built(builder: NetworkBuilder, input_shape: tuple[int, ...] | None) -> Blueprint:
    if input_shape is None:
        raise ValueError(f"{builder.name} can only be built for the shape of an input")

    def create() -> nn.Module:
        module = builder.build(input_shape)
        if not isinstance(getattr(module, "num_features", None), int):
            raise WeightsError(
                f"the network {builder.name} does not say how many features it gives",
                field="backbone",
                remedy="set num_features, a whole number, on the module that build returns",
            )
        return module

    return Blueprint(builder.name, builder.name, create, timm=False)


def create_backbone(backbone: str) -> nn.Module:
    """Return a timm model without classifier, its weights drawn from torch's global stream.

    Raises
    ------
    WeightsError
        If timm has no such model.
    """
    return create_timm(known_architecture(backbone), num_classes=0)


def create_timm(name: str, **settings: Any) -> nn.Module:
    """Return timm's model, which computes the same on every device."""
    with warnings.catch_warnings():
        # Renamed models warn; which weights were loaded is in the record.
        warnings.simplefilter("ignore")
        module: nn.Module = timm.create_model(name, **settings)
    enlarge_deterministically(module)
    return module


def _architecture(backbone: str) -> str:
    return backbone.partition(".")[0]


def known_architecture(backbone: str) -> str:
    """Return a timm name without its tag; raises WeightsError if timm has no such model."""
    architecture = _architecture(backbone)
    if not timm.is_model(architecture):
        raise WeightsError(
            f"timm has no model {architecture!r}",
            field="backbone",
            remedy=did_you_mean(architecture, timm.list_models()),
        )
    return architecture
