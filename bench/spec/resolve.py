"""A method's parameters, merged, checked against the parts' signatures, defaults filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from bench.spec.cell import Method, Scalar
from bench.spec.layers import Layers, When
from bench.spec.merge import merge
from bench.spec.problems import Source, validate
from bench.spec.recipe import Frozen, HeadInit, Optimizer, Warmup
from bench.spec.suite import MethodSpec

F = TypeVar("F", bound=Frozen)
Dotted = tuple[tuple[str, Scalar], ...]


def set_dotted(raw: Mapping[str, Any], path: Sequence[str], value: Scalar) -> dict[str, Any]:
    """Return a copy of ``raw`` with the value at a path of keys."""
    overlay: Any = value
    for key in reversed(path):
        overlay = {key: overlay}
    result: dict[str, Any] = merge(raw, overlay)
    return result


def resolve_method(layers: Layers, name: str, whens: Sequence[When], dotted: Dotted) -> Method:
    """Return the method as a cell holds it.

    ``dotted`` axes of the form ``penalties.PART.PARAMETER`` set a parameter where the method has
    that part.

    Raises
    ------
    SpecError
        For an unknown part or parameter, or a value that the signature does not allow.
    """
    raw = layers.methods[name]
    sources = list(layers.method_sources[name])
    for when in whens:
        if when.methods.get(name) is not None:
            raw = merge(raw, when.methods[name])
            sources.append(when.source.at("methods", name))
    spec = validate(MethodSpec, raw, sources)
    penalties: dict[str, dict[str, Scalar]] = {}
    for part_name, parameters in spec.penalties.items():
        source = _where(sources, ("penalties", part_name))
        part = layers.part(part_name, source, ("penalties", part_name))
        for axis, value in dotted:
            _, *path = axis.split(".")
            if axis.startswith("penalties.") and path[0] == part_name:
                parameters = set_dotted(parameters, path[1:], value)
        checked = validate(
            part.parameters, parameters, [s.at("penalties", part_name) for s in sources]
        )
        penalties[part_name] = checked.model_dump()
    return Method(
        penalties=penalties,
        head_init=_choice(HeadInit, spec.head_init, "head_init", sources),
        optimizer=_choice(Optimizer, spec.optimizer, "optimizer", sources),
        warmup=_choice(Warmup, spec.warmup, "warmup", sources),
        trainable=spec.trainable,
    )


def _choice(model: type[F], raw: object, key: str, sources: Sequence[Source]) -> F | None:
    return None if raw is None else validate(model, raw, [s.at(key) for s in sources])


def _where(sources: Sequence[Source], loc: tuple[str, ...]) -> Source:
    return next((source for source in reversed(sources) if source.has(loc)), sources[0])
