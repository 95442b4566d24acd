"""What a method is made of: a penalty is a pure function of a step to a scalar."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict
from torch import Tensor

Maps = Mapping[str, Tensor]


@dataclass(frozen=True)
class Step:
    """All that a penalty may look at in one training step.

    Attributes
    ----------
    features
        Pooled penultimate features, ``(b, d)``.
    logits, labels
        ``(b, n)`` and ``(b,)``.
    backbone, head
        Parameters by name; those that do not train are included.
    start
        Detached copies of ``backbone`` before the first step, same names.
    maps, source_maps
        Tapped inner feature maps ``(b, c, h, w)`` of this step's images, from the network and
        from a frozen copy of its start. Empty unless a penalty needs ``source_maps``.
    channel_weights
        For each tapped map, ``(c,)`` weights from the channel-attention cell; empty unless
        needed.
    """

    features: Tensor
    logits: Tensor
    labels: Tensor
    backbone: Mapping[str, Tensor]
    head: Mapping[str, Tensor]
    start: Mapping[str, Tensor]
    maps: Maps = field(default_factory=dict)
    source_maps: Maps = field(default_factory=dict)
    channel_weights: Maps = field(default_factory=dict)


class Penalty(BaseModel):
    """A term added to the loss; its fields are its parameters in YAML.

    Subclasses annotate fields with ``float``, ``int``, ``bool``, ``str``, ``NonNegativeFloat``,
    ``PositiveFloat``, ``NonNegativeInt``, ``PositiveInt`` or a ``Literal`` of strings, with
    literal defaults: a suite is validated by reading this signature without importing the file.
    ``needs`` is a literal tuple of ``source_maps`` and ``channel_attention``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    needs: ClassVar[tuple[str, ...]] = ()

    def __call__(self, step: Step) -> Tensor:
        """Return the scalar that is added to the mean cross-entropy."""
        raise TypeError(f"{type(self).__name__} does not define __call__(self, step)")

    @classmethod
    def invariants(cls, step: Step) -> Mapping[str, bool]:
        """Return what must hold for any step, each with whether it does; a part may have none.

        ``bench test-method`` calls it on synthetic float64 steps whose differentiable inputs
        are independent leaves.
        """
        return {}


P = TypeVar("P", bound=type[Penalty])
REGISTRY: dict[str, type[Penalty]] = {}


def penalty(name: str) -> Callable[[P], P]:
    """Register a penalty under the name used in YAML.

    Raises
    ------
    ValueError
        If another class already has that name.
    """

    def register(cls: P) -> P:
        other = REGISTRY.get(name)
        if other is not None and (other.__module__, other.__qualname__) != (
            cls.__module__,
            cls.__qualname__,
        ):
            raise ValueError(f"penalty {name!r} is already registered by {other.__module__}")
        REGISTRY[name] = cls
        return cls

    return register
