"""Whether every axis, dataset, weights, stage, method and task that a suite names is there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from bench.errors import did_you_mean
from bench.spec.backbones import UNLISTED, is_backbone, nearest, version
from bench.spec.catalogue import names as dataset_names
from bench.spec.layers import SHIPPED, Layers, parse_stage
from bench.spec.merge import CHOICES
from bench.spec.parts import find_part, known_parts, part_names
from bench.spec.problems import Source, validate
from bench.spec.recipe import Scalar
from bench.spec.search_checks import check_search_names
from bench.spec.suite import (
    CELL_AXES,
    DOTTED,
    LAST_AXES,
    METRIC,
    MeasureSpec,
    MethodSpec,
    Stage,
    TaskSpec,
)

_PINNED = re.compile(r"(timm|hf:[\w.-]+/[\w.-]+)@[0-9a-f]{40}")
# It stands in the names of metrics and of a network's modules.
_TASK = re.compile(r"(?!training$)[A-Za-z0-9_-]+")
_AXES = (*CELL_AXES, *LAST_AXES)


def check_names(layers: Layers) -> None:
    """Check what a suite names.

    Raises
    ------
    SpecError
        For an unknown axis, method, dataset, weights, stage or task's name.
    """
    _check_axes(layers)
    check_search_names(layers)
    _check_names(layers)
    for what in ("methods", "stages", "tasks", "networks"):
        for name in getattr(layers, what):
            if name in CHOICES:
                raise layers.source_of(what, name).error(
                    f"is a word of suites, whose other choice replaces the whole of what a "
                    f"profile overlays: no name for one of the {what}",
                    (what, name),
                    "give it another name",
                )


def _check_axes(layers: Layers) -> None:
    last = layers.sources[0]
    for axis in _required_axes(layers):
        if axis not in layers.axes:
            raise last.error(f"the axis {axis} is required", ("axes",), "add it")
    conditions = {axis for when in layers.whens for axis in when.conditions}
    shown = {*layers.table.rows, layers.table.columns} - {METRIC}
    for axis in layers.axes:
        known = axis in _AXES or axis.startswith(DOTTED)
        known &= bool(layers.measure) or not axis.startswith("measure.")
        if not known and axis not in conditions:
            near = did_you_mean(axis, [*_AXES, *(f"{start}…" for start in DOTTED)])
            raise last.error("is an axis that changes nothing", ("axes", axis), near)
    for axis in sorted(shown - set(layers.axes)):
        raise layers.sources[0].error(
            f"{axis!r} is not an axis", ("table",), did_you_mean(axis, layers.axes)
        )
    for when in layers.whens:
        for axis, values in when.conditions.items():
            known_values = layers.everywhere.get(axis, set()) | set(layers.axes.get(axis, ()))
            for value in values:
                if axis in layers.axes and value not in known_values:
                    raise when.source.error(
                        f"{value!r} is not a value of this axis in any profile",
                        (axis,),
                        did_you_mean(value, sorted(map(str, known_values))),
                    )


def _required_axes(layers: Layers) -> list[str]:
    if layers.measure:
        # What a network that is measured was trained on is said by the stage that it is of.
        return ["seed"]
    of_task = ("dataset", "sampling_rate")
    return [axis for axis in _AXES if not (layers.tasks and axis in of_task)]


def _check_names(layers: Layers) -> None:
    for axis, loc, values, source in _all_values(layers):
        for value in values:
            if axis in ("dataset", "task.dataset"):
                _check_dataset(layers, str(value), source, loc)
            elif axis == "weights":
                _check_weights(layers, str(value), source, loc)
            elif axis == "backbone":
                _check_backbone(layers, str(value), source, loc)
            elif axis == "method" and value not in layers.methods:
                near = did_you_mean(value, layers.methods)
                raise source.error(f"the method {value!r} is not defined", loc, near)
    for name, raw in layers.methods.items():
        for source in layers.method_sources[name]:
            validate(MethodSpec, raw, [source])
    _check_tasks(layers)
    for name, stage in layers.stages.items():
        _check_stage(layers, stage, layers.stage_source(name))
    if layers.measure:
        _check_measure(layers)
    for when in layers.whens:
        if "measure" in when.overlays and not layers.measure:
            raise when.source.error("is laid over nothing", ("measure",), "add measure:")
        for name in when.methods:
            if name not in layers.methods:
                raise when.source.error(
                    f"the method {name!r} is not defined",
                    ("methods", name),
                    did_you_mean(name, layers.methods),
                )


def _check_tasks(layers: Layers) -> None:
    if layers.measure and layers.tasks:
        raise layers.source_of("tasks").error(
            "a measurement looks at one task", ("tasks",), "use task:"
        )
    # Each as written, the fragments it was merged from, and where it is: a source and a path.
    written: list[tuple[Any, list[Source], Source, tuple[str, ...]]] = [
        (raw, layers.sources_of(*loc), layers.source_of(*loc), loc)
        for loc, raw in (
            (("task",), layers.task),
            *((("tasks", name), raw) for name, raw in layers.tasks.items()),
        )
    ]
    for when in layers.whens:
        if "task" in when.overlays:
            here = when.source.at("task")
            written.append((when.overlays["task"], [here], when.source, ("task",)))
        for name, raw in when.overlays.get("tasks", {}).items():
            if raw is not None:
                here = when.source.at("tasks", name)
                written.append((raw, [here], when.source, ("tasks", name)))
    for raw, sources, source, loc in written:
        task = validate(TaskSpec, raw, sources)
        if task.dataset is not None:
            _check_dataset(layers, task.dataset, source, (*loc, "dataset"))
        if len(loc) > 1 and not _TASK.fullmatch(loc[-1]):
            raise source.error("is no name of a task", loc, "use letters, digits, - and _")


def _check_stage(layers: Layers, stage: Stage, source: Source) -> None:
    if stage.dataset is not None:
        _check_dataset(layers, stage.dataset, source, ("dataset",))
    of_task = validate(TaskSpec, stage.task, [source.at("task")])
    if of_task.dataset is not None:
        _check_dataset(layers, of_task.dataset, source, ("task", "dataset"))
    _check_weights(layers, stage.weights, source, ("weights",))
    if stage.backbone is not None:
        _check_backbone(layers, stage.backbone, source, ("backbone",))
    if stage.method is not None and stage.method not in layers.methods:
        near = did_you_mean(stage.method, layers.methods)
        raise source.error(f"the method {stage.method!r} is not defined", ("method",), near)


def _check_measure(layers: Layers) -> None:
    measure = validate(MeasureSpec, layers.measure, layers.sources_of("measure"))
    for name, role in measure.roles.items():
        loc = ("measure", "roles", name)
        _check_role(layers, role.model_dump(), layers.source_of(*loc), loc)
    for when in layers.whens:
        roles = when.overlays.get("measure", {}).get("roles")
        for name, raw in roles.items() if isinstance(roles, dict) else ():
            if isinstance(raw, dict):
                _check_role(layers, raw, when.source, ("measure", "roles", name))


def _check_role(
    layers: Layers, role: Mapping[str, Any], source: Source, loc: tuple[str, ...]
) -> None:
    # What is no name at all is for the whole measurement's validation to say.
    names = {key: value for key, value in role.items() if isinstance(value, str)}
    if "stage" in names and names["stage"] not in layers.stages:
        near = did_you_mean(names["stage"], layers.stages)
        raise source.error(f"there is no stage {names['stage']!r}", (*loc, "stage"), near)
    if "weights" in names:
        _check_weights(layers, names["weights"], source, (*loc, "weights"))
    if "method" in names and names["method"] not in layers.methods:
        near = did_you_mean(names["method"], layers.methods)
        raise source.error(f"the method {names['method']!r} is not defined", (*loc, "method"), near)
    if "dataset" in names:
        _check_dataset(layers, names["dataset"], source, (*loc, "dataset"))
    if "backbone" in names:
        _check_backbone(layers, names["backbone"], source, (*loc, "backbone"))


def _all_values(
    layers: Layers,
) -> Iterable[tuple[str, tuple[str, ...], tuple[Scalar, ...], Source]]:
    for axis, values in layers.axes.items():
        loc = ("axes", axis)
        source = next((s for s in reversed(layers.sources) if s.has(loc)), layers.sources[0])
        yield axis, loc, values, source
    for when in layers.whens:
        for axis, values in when.axes.items():
            yield axis, ("axes", axis), values, when.source


def _check_dataset(layers: Layers, name: str, source: Source, loc: tuple[str, ...]) -> None:
    known = [*layers.resources.datasets, *dataset_names()]
    if name not in known:
        raise source.error(
            f"the dataset {name!r} is neither in the catalogue nor under `datasets:`",
            loc,
            did_you_mean(name, known, "bench list datasets"),
        )


def _check_backbone(layers: Layers, name: str, source: Source, loc: tuple[str, ...]) -> None:
    plugins = layers.resources.plugins
    if name.startswith(UNLISTED) or name in layers.networks or is_backbone(name):
        return
    if find_part("network", name, plugins) is None:
        near = nearest(name, [*layers.networks, *part_names("network", known_parts(plugins))])
        raise source.error(
            f"{name!r} is neither a network of the suite's nor a backbone of timm {version()}",
            loc,
            f"{near} (of a newer timm: {UNLISTED}{name})",
        )


def _check_weights(layers: Layers, name: str, source: Source, loc: tuple[str, ...]) -> None:
    shipped = sorted(f"shipped:{file.stem}" for file in SHIPPED.glob("*.json"))
    known = ["random", "timm", *shipped]
    known += [f"file:{n}" for n in layers.resources.files]
    known += [f"stage:{n}" for n in layers.stages]
    stage = parse_stage(name)
    if stage is not None and stage[0] in layers.stages:
        return
    if name not in known and not _PINNED.fullmatch(name):
        raise source.error(f"there are no weights {name!r}", loc, did_you_mean(name, known))
