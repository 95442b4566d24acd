"""Names and parameters of parts as written, checked against their signatures, defaults filled in.

What a method replaces is decided here and nowhere else: its overlay is merged into the recipe.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.spec.backbones import UNLISTED
from bench.spec.layers import Layers, When
from bench.spec.loader import Key
from bench.spec.merge import CHOICES, merge
from bench.spec.parts import Kind, find_part
from bench.spec.problems import AxisSource, Source, validate
from bench.spec.recipe import Recipe, Scalar, Use, Warmup
from bench.spec.search_checks import search_path
from bench.spec.suite import MethodSpec
from bench.spec.work import Network

Dotted = tuple[tuple[str, Scalar], ...]


@dataclass(frozen=True)
class Composition:
    """The parts of a method, resolved, and its recipe overlay as written."""

    penalties: tuple[Use, ...]
    trainable: Use
    patches: tuple[Use, ...]
    update: Use
    warmup: Warmup | None
    recipe: Mapping[str, Any]
    recipe_sources: tuple[Source, ...]


def resolve_use(
    layers: Layers,
    kind: Kind,
    raw: str | Mapping[str, Any],
    sources: Sequence[Source],
    loc: tuple[Key, ...] = (),
) -> Use:
    """Return one part in use, written as its name or as ``{name: parameters}``.

    Parameters
    ----------
    sources
        The fragments that ``raw`` was merged from; ``loc`` is its path below each.

    Raises
    ------
    SpecError
        For an unknown part or parameter, or a value that the signature does not allow.
    """
    where = _where(sources, loc)
    parameters: Any = {}
    if isinstance(raw, str):
        name = raw
    elif isinstance(raw, Mapping) and len(raw) == 1:
        name, parameters = next(iter(raw.items()))
    else:
        raise where.error(f"must name exactly one {kind}", loc, "write NAME, or {NAME: {}}")
    parameters = {} if parameters is None else parameters
    return _use(layers, kind, name, parameters, sources, (*loc, name), loc)


def resolve_uses(
    layers: Layers,
    kind: Kind,
    raw: Mapping[str, Any],
    sources: Sequence[Source],
    loc: tuple[Key, ...],
) -> tuple[Use, ...]:
    """Return several parts in use, sorted by name; raises as ``resolve_use`` does."""
    if not isinstance(raw, Mapping):
        raise _where(sources, loc).error("must be a mapping", loc, "write {NAME: {}}")
    return tuple(
        _use(layers, kind, name, raw[name], sources, (*loc, name), (*loc, name))
        for name in sorted(raw)
    )


def _use(
    layers: Layers,
    kind: Kind,
    name: str,
    parameters: Mapping[str, Any],
    sources: Sequence[Source],
    loc: tuple[Key, ...],
    name_loc: tuple[Key, ...],
) -> Use:
    part = layers.named_part(kind, name, _where(sources, name_loc), name_loc)
    checked = validate(part.parameters, parameters, [source.at(*loc) for source in sources])
    settings = checked.model_dump()
    fault = part.fault_with(settings)
    if fault is not None:
        raise _where(sources, loc).error(fault, loc, "give what is named by it another name")
    return Use(name=name, settings=settings, given=checked.model_dump(exclude_defaults=True))


def resolve_network(layers: Layers, backbone: str) -> Network:
    """Return the network that a value of the axis ``backbone`` stands for."""
    if backbone in layers.networks:
        sources, loc = layers.sources, ("networks", backbone)
        return resolve_use(layers, "network", layers.networks[backbone], sources, loc)
    # timm's names and those of parts do not meet: a part that is named alone has its defaults.
    if find_part("network", backbone, layers.resources.plugins) is not None:
        return resolve_use(layers, "network", backbone, layers.sources, ("axes", "backbone"))
    return backbone.removeprefix(UNLISTED)


def set_dotted(raw: Mapping[str, Any], path: Sequence[str], value: Scalar) -> dict[str, Any]:
    """Return a copy of ``raw`` with the value at a path of keys."""
    overlay: Any = value
    for key in reversed(path):
        overlay = {key: overlay}
    result: dict[str, Any] = merge(raw, overlay)
    return result


def dotted_values(dotted: Dotted, prefix: str) -> list[tuple[list[str], Scalar]]:
    """Return the paths and values of the dotted axes below a prefix."""
    return [(axis.split(".")[1:], value) for axis, value in dotted if axis.startswith(f"{prefix}.")]


def lay_dotted(
    layers: Layers,
    raw: Mapping[str, Any],
    sources: list[Source],
    dotted: Dotted,
    prefix: str,
    below: tuple[str, ...] = (),
) -> Mapping[str, Any]:
    """Return ``raw`` with the values of the dotted axes below a prefix.

    ``sources``, which are at ``below`` and then the axis's path, are joined by the axes.
    """
    for path, value in dotted_values(dotted, prefix):
        _check_choice(layers, raw, path, prefix)
        raw = set_dotted(raw, path, value)
        sources.append(axis_source(layers, prefix, path, sources, (*below, *path)))
    return raw


def axis_source(
    layers: Layers,
    prefix: str,
    path: Sequence[str],
    others: Sequence[Source],
    sets: tuple[str, ...],
) -> Source:
    """Return where the dotted axis of a prefix and path is written; ``sets`` is what it sets."""
    where = axis_path(layers, ".".join([prefix, *path]))
    return AxisSource(layers.source_of(*where), where, sets, tuple(others))


def axis_path(layers: Layers, axis: str) -> tuple[str, ...]:
    """Return where an axis is written: among the table's, or among those that are searched."""
    return ("axes", axis) if axis in layers.axes else search_path(layers, axis)


def resolve_method(layers: Layers, name: str, whens: Sequence[When], dotted: Dotted) -> Composition:
    """Return a method's parts and its overlay of the recipe.

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
    penalties = dict(spec.penalties)
    for path, value in dotted_values(dotted, "penalties"):
        if path[0] in penalties:
            penalties = set_dotted(penalties, path, value)
            sources.append(axis_source(layers, "penalties", path, sources, ("penalties", *path)))
    warmup = None
    if spec.warmup is not None:
        warmup = validate(Warmup, spec.warmup, [s.at("warmup") for s in sources])
    return Composition(
        penalties=resolve_uses(layers, "penalty", penalties, sources, ("penalties",)),
        trainable=resolve_use(layers, "trainable", spec.trainable, sources, ("trainable",)),
        patches=resolve_uses(layers, "patch", spec.patches, sources, ("patches",)),
        update=resolve_use(layers, "update", spec.update, sources, ("update",)),
        warmup=warmup,
        recipe=spec.recipe,
        recipe_sources=tuple(source.at("recipe") for source in sources),
    )


def resolve_recipe(
    layers: Layers,
    overlays: Sequence[tuple[Mapping[str, Any], Sequence[Source]]],
    dotted: Dotted = (),
    *,
    images: bool = True,
) -> Recipe:
    """Return the recipe of overlays laid over each other, the last on top.

    Parameters
    ----------
    overlays
        Each with the fragments it was merged from.
    dotted
        Axes ``recipe.SETTING``, on top of all.
    images
        Whether the cell's data are images; else it has no image settings.

    Raises
    ------
    SpecError
        For an unknown setting or a value that is not allowed; for an axis that sets something
        within a choice (an optimizer's rate) where another choice was made.
    """
    raw: dict[str, Any] = {}
    sources: list[Source] = []
    for overlay, written in overlays:
        raw = merge(raw, overlay)
        sources += written
    for path, value in dotted_values(dotted, "recipe"):
        _check_choice(layers, raw, path)
        raw = set_dotted(raw, path, value)
        sources.append(axis_source(layers, "recipe", path, sources, tuple(path)))
    if not images:
        raw = {**raw, "image": None, "augmentation": None}
    # The default too: its settings are every parameter that the part has today.
    head = raw.get("head_init", Recipe.model_fields["head_init"].default.name)
    raw = {**raw, "head_init": resolve_use(layers, "head", head, sources, ("head_init",))}
    if "measurements" in raw:
        uses = resolve_uses(layers, "measurement", raw["measurements"], sources, ("measurements",))
        raw = {**raw, "measurements": {use.name: use for use in uses}}
    return validate(Recipe, raw, sources)


def _check_choice(
    layers: Layers, raw: Mapping[str, Any], path: Sequence[str], prefix: str = "recipe"
) -> None:
    made = raw.get(path[0])
    made = [made] if isinstance(made, str) else made
    if path[0] in CHOICES and len(path) > 2 and made and path[1] not in made:
        axis = ".".join([prefix, *path])
        whose = "method" if prefix == "recipe" else prefix
        where = axis_path(layers, axis)
        raise layers.source_of(*where).error(
            f"sets {path[1]}, and a {whose} has {path[0]} {', '.join(made)}",
            where,
            f"leave the {whose}'s {path[0]} out, or the axis",
        )


def _where(sources: Sequence[Source], loc: tuple[Key, ...]) -> Source:
    return next((source for source in reversed(sources) if source.has(loc)), sources[0])
