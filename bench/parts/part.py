"""What everything is made of: a part is a class of some kind, found by its name in YAML."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from bench.spec.parts import KINDS, Kind


class Part(BaseModel):
    """A part; its fields are its parameters in YAML.

    Subclasses annotate fields with ``float``, ``int``, ``bool``, ``str``, ``NonNegativeFloat``,
    ``PositiveFloat``, ``NonNegativeInt``, ``PositiveInt``, a ``Literal`` of strings, or a tuple of
    these, with literal defaults: a suite is validated by reading this signature without importing
    the file. What a kind's class states beside its parameters is a literal too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")


P = TypeVar("P", bound=type[Part])
REGISTRY: dict[Kind, dict[str, type[Part]]] = {kind: {} for kind in KINDS}


def decorator(kind: Kind, base: type[Part]) -> Callable[[str], Callable[[P], P]]:
    """Return the decorator that registers classes of a kind under the name used in YAML."""

    def named(name: str) -> Callable[[P], P]:
        def register(cls: P) -> P:
            if not issubclass(cls, base):
                raise TypeError(
                    f"{cls.__name__} is registered as a {kind}, and is no {base.__name__}"
                )
            other = REGISTRY[kind].get(name)
            if other is not None and _origin(other) != _origin(cls):
                raise ValueError(f"{kind} {name!r} is already registered by {other.__module__}")
            REGISTRY[kind][name] = cls
            return cls

        return register

    return named


def _origin(cls: type) -> tuple[str, str]:
    return cls.__module__, cls.__qualname__
