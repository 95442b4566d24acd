"""What can be known wrong about a suite before anything runs, beyond names and types."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from bench.errors import did_you_mean
from bench.spec.catalogue import entry as dataset_entry
from bench.spec.catalogue import names as dataset_names
from bench.spec.cell import PlannedCell
from bench.spec.layers import SHIPPED, Layers
from bench.spec.recipe import Scalar
from bench.spec.shown import check_figures, check_table
from bench.spec.work import Train, network_name

Values = Mapping[str, set[Scalar]]


def check_layers(layers: Layers, everywhere: Values) -> None:
    """Check the table, figures, labels, contrasts and penalty axes against what the suite has.

    Parameters
    ----------
    everywhere
        Axis to the values it has in any profile: a label or pair may belong to another profile.

    Raises
    ------
    SpecError
        For the first name that nothing has.
    """
    check_table(layers)
    check_figures(layers, everywhere)
    _check_contrast(layers, everywhere)
    _check_labels(layers, everywhere)
    for axis in layers.axes:
        if axis.startswith("penalties."):
            _check_penalty_axis(layers, axis)
    _check_datasets(layers)


def check_cells(layers: Layers, cells: Iterable[PlannedCell]) -> None:
    """Check what only the resolved cells tell: weights that fit, schedules that end.

    Raises
    ------
    SpecError
        For the first cell that could not run.
    """
    backbones = _shipped_backbones()
    for work in {id(p.cell.work): p.cell.work for p in cells}.values():
        networks = [work] if isinstance(work, Train) else work.starts.values()
        for network in networks:
            shipped = backbones.get(network.weights)
            name = network_name(network.network)
            if shipped is not None and name.partition(".")[0] != shipped.partition(".")[0]:
                raise layers.source_of("axes", "backbone").error(
                    f"{network.weights} are of {shipped}, not of {name}",
                    ("axes", "backbone"),
                    f"use {shipped}",
                )
        if not isinstance(work, Train):
            continue
        warmup = getattr(work.recipe.schedule.settings, "warmup", None)
        if warmup is not None and warmup >= work.recipe.steps:
            raise layers.source_of("recipe", "schedule").error(
                f"warmup {warmup} leaves nothing of {work.recipe.steps} steps",
                ("recipe", "schedule"),
            )


def _check_datasets(layers: Layers) -> None:
    resources = layers.resources
    places = {**resources.folders, **{name: file for name, (file, _) in resources.arrays.items()}}
    names: dict[str, str] = {}
    for name, path in places.items():
        # The catalogue knows of such sets what they must hold, and not where they are.
        if name in dataset_names() and dataset_entry(name).kind != "folder":
            raise layers.source_of("datasets", name).error(
                "is the name of a dataset in the catalogue",
                ("datasets", name),
                "give your data a name of their own",
            )
        # Rows are drawn and held out by the dataset's name.
        other = names.setdefault(path, name)
        if other != name:
            raise layers.source_of("datasets", name).error(
                f"are the data of {other}: one may be validated on rows that the other trains on",
                ("datasets", name),
                f"give data one name: use {other}",
            )


def _check_contrast(layers: Layers, everywhere: Values) -> None:
    contrast = layers.table.contrast
    if contrast is None:
        return
    where = layers.source_of("table", "contrast")
    if contrast.axis not in layers.axes:
        raise where.error(
            f"{contrast.axis!r} is not an axis",
            ("table", "contrast"),
            did_you_mean(contrast.axis, layers.axes),
        )
    known = {str(value) for value in everywhere.get(contrast.axis, set())}
    for value in (value for pair in contrast.pairs for value in pair):
        if value not in known:
            raise where.error(
                f"{value!r} is not a value of {contrast.axis}",
                ("table", "contrast"),
                did_you_mean(value, sorted(known)),
            )


def _check_labels(layers: Layers, everywhere: Values) -> None:
    for axis, shown in layers.labels.items():
        where = layers.source_of("labels", axis)
        if axis not in everywhere:
            raise where.error("is not an axis", ("labels", axis), did_you_mean(axis, everywhere))
        known = {str(value) for value in everywhere[axis]}
        for value in shown:
            if value not in known and axis != "seed":
                raise where.error(
                    f"{value!r} is not a value of this axis in any profile",
                    ("labels", axis),
                    did_you_mean(value, sorted(known)),
                )


def _check_penalty_axis(layers: Layers, axis: str) -> None:
    used = {
        part
        for raw in layers.methods.values()
        if isinstance(raw, dict)
        for part in raw.get("penalties", {})
    }
    part = axis.split(".")[1]
    if part not in used:
        raise layers.source_of("axes", axis).error(
            "is an axis that changes nothing: no method has that penalty",
            ("axes", axis),
            did_you_mean(part, sorted(used)),
        )


def _shipped_backbones() -> dict[str, str]:
    found = {}
    for file in SHIPPED.glob("*.json"):
        found[f"shipped:{file.stem}"] = str(
            json.loads(file.read_text(encoding="utf-8")).get("backbone", "")
        )
    return found
