"""A part of a user's beside the methods of a suite: a suite of its own, and what it asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.errors import SpecError, did_you_mean
from bench.spec.layers import documents_of
from bench.spec.loader import load_yaml
from bench.spec.merge import merge
from bench.spec.naming import joined_name
from bench.spec.parts import Part, read_parts
from bench.spec.plan import Plan, load_plan
from bench.spec.recipe import Scalar

Raw = dict[str, Any]
# Values to try of a setting, or the range that they are drawn from, as a suite writes it.
Tried = list[Scalar] | Raw
# What a method is made of, by the kind of part; other kinds change what is learnt, or from what.
_METHODS: dict[str, Callable[[Raw], Raw]] = {
    "penalty": lambda use: {"penalties": use},
    "patch": lambda use: {"patches": use},
    "update": lambda use: {"update": use},
    "trainable": lambda use: {"trainable": use},
    "head": lambda use: {"recipe": {"head_init": use}},
}
_LISTS = ("notes", "plugins", "when")
_METHOD, _SEED = "method", "seed"


def part_to_try(file: Path, name: str | None) -> Part:
    """Return the part of a file that a method can be made of: the only one, or the named one.

    Raises
    ------
    SpecError
        If there is none, or there are several and none is named.
    """
    parts = [part for part in read_parts(file) if part.kind in _METHODS]
    names = [part.name for part in parts]
    if name is not None:
        parts = [part for part in parts if part.name == name]
    if len(parts) == 1:
        return parts[0]
    if name is not None:
        raise SpecError(f"has no part {name!r} to try", file=file, remedy=did_you_mean(name, names))
    if not parts:
        kinds = ", ".join(_METHODS)
        raise SpecError("has no part that makes a method", file=file, remedy=f"kinds: {kinds}")
    raise SpecError(f"has several parts: {', '.join(names)}", file=file, remedy="add --part NAME")


def suite_beside(
    suite: Path,
    profile: str,
    part: Part,
    *,
    settings: Mapping[str, Scalar],
    onto: Sequence[str] = (),
    space: Mapping[str, Tried] | None = None,
) -> Raw:
    """Return a suite, as it is written, of a suite's methods under a profile and one more.

    All cells of its methods are the suite's own: what has been run of them counts.

    Parameters
    ----------
    settings
        Of the part, where they are not its defaults.
    onto
        Methods of the suite to which the part is added, each as a further method.
    space
        What a search tries of the part's settings.

    Raises
    ------
    SpecError
        If a name is taken, a method is not the suite's, or there is nothing to search.
    """
    whole = _laid(suite, profile)
    if _METHOD not in whole["axes"]:
        raise SpecError("has no methods to stand beside", file=suite, remedy="name another suite")
    methods: Raw = whole["methods"]
    for name in onto:
        if name not in methods:
            raise SpecError(
                f"has no method {name!r}", file=suite, remedy=did_you_mean(name, methods)
            )
    if part.name in methods:
        raise SpecError(
            f"the suite has a method {part.name!r}", file=part.file, remedy="rename the part"
        )
    use = {part.name: dict(settings)}
    own = {part.name: _METHODS[part.kind](use)}
    own |= {f"{base}+{part.name}": merge(methods[base], own[part.name]) for base in onto}
    listed = whole["axes"][_METHOD]
    base_methods = list(listed) if isinstance(listed, list) else [listed]
    whole["axes"][_METHOD] = [*base_methods, *own]
    whole["methods"] = {**methods, **own}
    whole["plugins"] = [*whole.get("plugins", []), str(part.file.resolve())]
    _search(whole, suite, part, onto, space or {})
    note = {"text": _how_tuned(whole, part), "source": "bench try"}
    whole["notes"] = [*whole.get("notes", []), note]
    table = whole.setdefault("table", {})
    pairs = [[name, base] for name in own for base in base_methods]
    table["contrast"] = {"axis": _METHOD, "pairs": pairs}
    whole["title"] = f"{part.name} beside {whole.get('title', suite.stem)}"
    whole["source"] = f"{part.file.name}, in the setting of {whole.get('source', suite.stem)}"
    # They name methods and columns of the suite's own.
    whole.pop("figures", None)
    return {**whole, "profiles": {profile: {}}}


def paper_beside(suite: Path, profile: str, whole: Raw, part: Part) -> Raw:
    """Return the paper of such a suite: one claim for each of its new methods and each old one.

    Each asks for the mean over all that varies but the method, seed by seed; of methods that take
    as many gradients, and are searched for, at equal tuning.
    """
    plan = load_plan(suite, profile)
    metric = plan.suite.metrics[0]
    old = _methods_of(plan)
    varying = [
        axis
        for axis in plan.suite.axes
        if axis not in (_METHOD, _SEED) and len({p.place.get(axis) for p in plan.shown}) > 1
    ]
    alike = _as_costly(plan) if _chooses_for_each(whole) and part.kind != "update" else set()
    word = {"highest": "greater", "lowest": "less"}[metric.best]
    claims = [
        {
            "id": f"{treated}-against-{base}",
            "text": f"{metric.metric} of {treated} is {word} than that of {base}, on average over "
            "all places of the table.",
            "source": "bench try",
            "suite": suite.stem,
            "metric": metric.metric,
            **({"at": metric.at.model_dump(exclude_none=True)} if metric.at is not None else {}),
            "compare": [{"axis": _METHOD, "pairs": [[treated, base]]}],
            "mean_over": varying,
            "expect": word,
            "refuted_by": "The mean difference has the other sign.",
            **({"budget": "search"} if base in alike else {}),
        }
        for treated in whole["axes"][_METHOD]
        if treated not in old
        for base in old
    ]
    title = f"{part.name} beside {plan.paper.title}"
    return {"id": joined_name(f"try-{part.name}"), "title": title, "claims": claims}


def _as_costly(plan: Plan) -> set[str]:
    """Return the methods that take a gradient a step, as one does that is only added to them."""
    found = set(_methods_of(plan))
    for planned in plan.shown:
        recipe = planned.cell.recipe
        if recipe is None or plan.gradients.get(planned.cell.id) != recipe.steps:
            found.discard(str(planned.place[_METHOD]))
    return found


def _methods_of(plan: Plan) -> list[str]:
    return list(dict.fromkeys(str(planned.place[_METHOD]) for planned in plan.shown))


def _chooses_for_each(whole: Raw) -> bool:
    """Whether a suite searches, and every method has a choice of its own."""
    per = whole.get("search", {}).get("per")
    return "search" in whole and (per is None or _METHOD in per)


def _how_tuned(whole: Raw, part: Part) -> str:
    if "search" not in whole:
        return (
            f"No setting of {part.name} is tuned here: it trains by the suite's recipe, and its "
            "own are its defaults, or were set by hand."
        )
    if not _chooses_for_each(whole):
        return (
            f"{part.name} is trained by the choice that the suite's methods share, which was not "
            "made for it; its own settings are its defaults, or were set by hand."
        )
    return (
        f"{part.name} is searched for by as many trials as each of the suite's methods; of its own "
        "settings, what is tried of them is in the section Search, and the others are not tuned."
    )


def _search(
    whole: Raw, suite: Path, part: Part, onto: Sequence[str], space: Mapping[str, Tried]
) -> None:
    """Let the new methods be searched for: as what they are added to, and by the part's own."""
    if not space and "search" not in whole:
        return
    if space and not _chooses_for_each(whole):
        shared = "search" in whole
        raise SpecError(
            "chooses for all methods at once, so that nothing of yours is tuned by itself beside it"
            if shared
            else "searches for no settings, so that nothing of yours is tuned beside it",
            file=suite,
            remedy="leave --search out, or stand beside a suite whose search: has method in per:"
            if shared
            else "leave --search out, or give the suite a search:",
        )
    if space and part.kind != "penalty":
        raise SpecError(
            f"a search is over penalties' settings, and this is a {part.kind}", file=part.file
        )
    axes = {f"penalties.{part.name}.{key}": tried for key, tried in space.items()}
    methods = dict(whole["search"].get("methods", {}))
    own = {f"{base}+{part.name}": {**methods.get(base, {}), **axes} for base in onto}
    methods |= {name: new for name, new in {part.name: axes, **own}.items() if new}
    whole["search"] = {**whole["search"], "methods": methods}


def _laid(suite: Path, profile: str) -> Raw:
    """Return what a suite says under a profile as one document, its paths absolute."""
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
    _leave_out_others(whole)
    return whole


def _leave_out_others(whole: Raw) -> None:
    """Leave out conditions and labels of values that only other profiles have."""
    known: dict[str, set[Any]] = {}
    for axes in (whole["axes"], *(when.get("axes", {}) for when in whole.get("when", []))):
        for axis, values in axes.items():
            known.setdefault(axis, set()).update(values if isinstance(values, list) else [values])
    kept = []
    for when in whole.get("when", []):
        left = dict(when)
        for axis, values in when.items():
            if axis in known:
                asked = values if isinstance(values, list) else [values]
                left[axis] = [value for value in asked if value in known[axis]]
        if all(left[axis] for axis in left if axis in known):
            kept.append(left)
    whole["when"] = kept
    whole["labels"] = {
        axis: {name: text for name, text in named.items() if _is_value(name, known[axis])}
        for axis, named in whole.get("labels", {}).items()
        if axis in known
    }


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
