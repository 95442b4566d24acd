"""One measurement as files: its numbers in JSON, its curves and maps as pictures, its arrays."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.files import write_whole
from bench.records.artifacts import read_artifact
from bench.records.record import Record
from bench.records.store import Store
from bench.report.arrays import ARRAYS
from bench.report.figures.kinds import draw
from bench.report.results import Results
from bench.report.values import unit_scale
from bench.spec.figure import Figure, Panel

# More below each other are two pictures.
_PANELS = 6
Rows = list[tuple[str, float, str]]


def metric_rows(results: Results, record: Record) -> Rows:
    """Return each metric as it is shown: its name, value and unit."""
    units = {name: metric.unit for name, metric in results.plan.metrics.items()}
    return [
        (name, value * unit_scale(units[name]), units[name])
        for name, value in record.outcome.metrics.items()
    ]


def write_measured(
    folder: Path, results: Results, record: Record, store: Store, networks: Mapping[str, Any]
) -> list[Path]:
    """Write a measurement's files; return them, the JSON first.

    Parameters
    ----------
    networks
        Role to what was measured in it, JSON-ready.
    """
    name = str(record.cell["kind"])
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for title, svg in _pictures(results, record):
        path = folder / f"{name}.{_plain(title)}.svg"
        write_whole(path, svg)
        written.append(path)
    arrays = results.arrays(record)
    found = store.artifact([record], ARRAYS)
    if found is not None:
        path = folder / f"{name}.{ARRAYS}.safetensors"
        write_whole(path, read_artifact(found[1], found[2]))
        written.append(path)
    about = _about(results, record, networks)
    about["files"] = [path.name for path in written]
    about["arrays"] = {key: list(value.shape) for key, value in sorted(arrays.items())}
    path = folder / f"{name}.json"
    write_whole(path, json.dumps(about, indent=2, sort_keys=True) + "\n")
    return [path, *written]


def _about(results: Results, record: Record, networks: Mapping[str, Any]) -> dict[str, Any]:
    plan, outcome = results.plan, record.outcome
    made, settings = outcome.provenance, record.cell["settings"]
    loaded = {role: dict(origin) for role, origin in made.weights.items()}
    return {
        "measurement": record.cell["kind"],
        "parameters": settings["measurement"][record.cell["kind"]],
        "seed": record.cell["seed"],
        # As they were loaded: equal weights have equal digests, whatever file they were in.
        "networks": {
            role: {**told, **({"state_sha256": loaded[role]["sha256"]} if role in loaded else {})}
            for role, told in networks.items()
        },
        "task": settings.get("task"),
        "data": dict(made.data),
        "metrics": {
            name: {
                "value": value, "unit": plan.metrics[name].unit, "best": plan.metrics[name].best,
            }
            for name, value in outcome.metrics.items()
        },
        "curves": {
            name: {
                "axis": curve.axis, "unit": plan.curves[name].unit, "at": list(curve.at),
                "value": list(curve.value),
            }
            for name, curve in outcome.curves.items()
        },
        "code": dict(made.code),
        "versions": dict(made.versions),
        "machine": dict(made.machine),
        "seconds": record.seconds,
    }  # fmt: skip


def _pictures(results: Results, record: Record) -> Iterator[tuple[str, str]]:
    """Yield each picture with its name: curves over one axis below each other, a map an array."""
    curves: dict[str, list[str]] = {}
    for name, curve in record.outcome.curves.items():
        if len(curve.at) > 1:
            curves.setdefault(curve.axis, []).append(name)
    for axis, names in curves.items():
        for first in range(0, len(names), _PANELS):
            title = f"{axis}-{1 + first // _PANELS}" if len(names) > _PANELS else axis
            yield from _drawn(results, title, "curves", names[first : first + _PANELS])
    for name, array in sorted(results.arrays(record).items()):
        if array.ndim == 2 and min(array.shape) > 1:
            yield from _drawn(results, name, "heatmap", [name])


def _drawn(
    results: Results, title: str, kind: str, names: Sequence[str]
) -> Iterator[tuple[str, str]]:
    panels = tuple(Panel(curve=name) for name in names)
    for svg in draw(results, Figure(title=title, kind=kind, panels=panels)).svgs:
        yield title, svg


def _plain(name: str) -> str:
    return re.sub(r"[^\w.+-]", "-", name)
