"""A suite as it is under one profile: one document, in which nothing is of other profiles."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.spec.layers import documents_of
from bench.spec.loader import load_yaml
from bench.spec.merge import merge
from bench.spec.suite import CELL_AXES, DOTTED, LAST_AXES

Raw = dict[str, Any]
_LISTS = ("notes", "plugins", "when")


def laid(suite: Path, profile: str) -> Raw:
    """Return what a suite says under a profile as one document, its paths absolute.

    Conditions and labels of values that only other profiles have are still there:
    `leave_out_others` takes them out.
    """
    whole: Raw = {}
    for layer in documents_of(load_yaml(suite), profile):
        for key, value in layer.items():
            if key in _LISTS:
                whole[key] = [*whole.get(key, []), *value]
            elif isinstance(value, Mapping):
                whole[key] = merge(whole.get(key, {}), value)
            else:
                whole[key] = value
    for key in ("profiles", "extends"):
        whole.pop(key, None)
    _make_absolute(whole, suite.parent)
    return whole


def leave_out_others(whole: Raw) -> None:
    """Leave out conditions, labels and places of trials at values that only other profiles have."""
    known = _values(whole)
    whole["when"] = _kept(whole, known)
    whole["labels"] = {
        axis: {name: text for name, text in named.items() if _is_value(name, known[axis])}
        for axis, named in whole.get("labels", {}).items()
        if axis in known
    }
    at = whole.get("search", {}).get("at", {})
    if at:
        here = {axis: _among(values, known.get(axis, set())) for axis, values in at.items()}
        whole["search"] = {**whole["search"], "at": here}


def as_list(values: Any) -> list[Any]:
    """Return an axis's values, of which one alone may stand without brackets."""
    return list(values) if isinstance(values, list) else [values]


def _values(whole: Raw) -> dict[str, set[Any]]:
    known: dict[str, set[Any]] = {}
    for axes in (whole["axes"], *(when.get("axes", {}) for when in whole.get("when", []))):
        for axis, values in axes.items():
            known.setdefault(axis, set()).update(as_list(values))
    return known


def _kept(whole: Raw, known: Mapping[str, set[Any]]) -> list[Raw]:
    kept, asked_for = [], set()
    for when in whole.get("when", []):
        left = {a: _among(v, known[a]) if a in known else v for a, v in when.items()}
        asked_for |= {axis for axis in when if axis in known}
        if all(left[axis] for axis in left if axis in known):
            kept.append(left)
    still = {axis for when in kept for axis in when}
    for axis, values in whole["axes"].items():
        free = axis not in (*CELL_AXES, *LAST_AXES) and not axis.startswith(DOTTED)
        if free and axis in asked_for - still:
            # All that is said of it is of other values: what stays says that it is an axis.
            kept.append({axis: as_list(values)})
    return kept


def _among(values: Any, known: set[Any]) -> list[Any]:
    return [value for value in as_list(values) if value in known]


def _is_value(name: str, values: set[Any]) -> bool:
    if name in map(str, values):
        return True
    try:
        return float(name) in values
    except ValueError:
        return False


def _make_absolute(whole: Raw, folder: Path) -> None:
    def resolved(path: str) -> str:
        return str((folder / Path(path).expanduser()).resolve())

    whole["plugins"] = [resolved(path) for path in whole.get("plugins", [])]
    for kind in ("datasets", "weights"):
        named = whole.get(kind, {})
        whole[kind] = {
            name: {k: resolved(v) if k in ("folder", "file") else v for k, v in entry.items()}
            for name, entry in named.items()
            if entry is not None
        }
