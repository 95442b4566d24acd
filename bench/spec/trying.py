"""A part of a user's beside the methods of a suite: a suite of its own, and what it asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.errors import SpecError, did_you_mean
from bench.spec.budget_checks import check_budget
from bench.spec.cell import Place
from bench.spec.claims import Claim
from bench.spec.comparisons import comparisons
from bench.spec.drawing import SearchSpec, dimension, drawn
from bench.spec.loader import dump_yaml, parse_yaml
from bench.spec.merge import merge
from bench.spec.naming import joined_name
from bench.spec.one_profile import as_list, laid, leave_out_others
from bench.spec.paper import Paper
from bench.spec.parts import Part, read_parts
from bench.spec.plan import Plan, load_plan, plan_of
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

    All cells of its methods are the suite's own: what has been run of them counts. Whatever the
    suite says of a method to which the part is added it says of the two together.

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
    whole = laid(suite, profile)
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
    made = _METHODS[part.kind]({part.name: dict(settings)})
    joined = {base: f"{base}+{part.name}" for base in onto}
    own = {part.name: made}
    own |= {name: merge(methods[base], made) for base, name in joined.items()}
    base_methods = as_list(whole["axes"][_METHOD])
    whole["axes"][_METHOD] = [*base_methods, *own]
    whole["methods"] = {**methods, **own}
    whole["when"] = [_joining(when, joined, part, made) for when in whole.get("when", [])]
    whole["plugins"] = [*whole.get("plugins", []), str(part.file.resolve())]
    _search(whole, suite, part, joined, base_methods, space or {})
    leave_out_others(whole)
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

    Each asks for the mean over all that varies but the method, seed by seed; at equal tuning,
    where both are searched for at one cost.

    Raises
    ------
    SpecError
        If the part cannot stand there, or the table has no metric that a claim can be about.
    """
    base = load_plan(suite, profile)
    claims = list(_claims(suite, _plan_beside(suite, profile, whole, part), whole))
    title = f"{part.name} beside {base.paper.title}"
    name = joined_name(f"try-{part.name}-beside-{base.paper.id}-{suite.stem}")
    return {"id": name, "title": title, "claims": claims}


def _plan_beside(suite: Path, profile: str, whole: Raw, part: Part) -> Plan:
    written = {key: value for key, value in whole.items() if key != "profiles"}
    try:
        return plan_of([parse_yaml(dump_yaml(written), suite)], Paper(id="try", title=""))
    except SpecError as error:
        if error.file != str(suite):
            raise
        # Its line is one of a text that nobody wrote.
        raise SpecError(
            f"{part.name} cannot stand beside {suite.stem} under {profile}: "
            f"{error.field + ': ' if error.field else ''}{error.message}",
            remedy=error.remedy,
        ) from None


def _claims(suite: Path, plan: Plan, whole: Raw) -> Iterator[Raw]:
    metric = next((m for m in plan.suite.metrics if m.at is None or not m.at.is_choice), None)
    if metric is None:
        raise SpecError(
            "every metric of its table is read where a curve has some value, and a claim by one "
            "such reading alone would be a choice", file=suite, remedy="name another suite",
        )  # fmt: skip
    places: list[Place] = [planned.place for planned in plan.shown]
    varying = [
        axis
        for axis in plan.suite.axes
        if axis not in (_METHOD, _SEED) and len({place.get(axis) for place in places}) > 1
    ]
    word = {"highest": "greater", "lowest": "less"}[metric.best]
    for treated, base in whole["table"]["contrast"]["pairs"]:
        claim = {
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
        }
        if comparisons(Claim.model_validate(claim), places):
            yield claim | ({"budget": "search"} if _tuned_alike(claim, plan) else {})


def _tuned_alike(claim: Raw, plan: Plan) -> bool:
    """Whether a claim may say that both of its methods were searched for at one cost."""
    by_search = Claim.model_validate(claim | {"budget": "search"})
    try:
        check_budget(by_search, plan.shown, plan.gradients, plan.tunings, _told)
    except SpecError:
        return False
    return True


def _told(message: str, *_: object) -> SpecError:
    return SpecError(message)


def _joining(when: Raw, joined: Mapping[str, str], part: Part, made: Raw) -> Raw:
    """Return a `when:` entry that says of a method with the part what it says of the method."""
    left = dict(when)
    if _METHOD in when:
        asked = as_list(when[_METHOD])
        left[_METHOD] = [*asked, *(new for base, new in joined.items() if base in asked)]
    if "methods" in when:
        over = when["methods"]
        # The part is laid over again: it may replace what the entry does, as an update does.
        ours = {joined[base]: merge(over[base], made) for base in joined if over.get(base)}
        left["methods"] = {**over, **ours}
    if _METHOD in when.get("axes", {}):
        listed = as_list(when["axes"][_METHOD])
        more = [part.name, *(new for base, new in joined.items() if base in listed)]
        left["axes"] = {**when["axes"], _METHOD: [*listed, *more]}
    return left


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
        f"{part.name} is searched for by as many trials as each of the suite's methods that has "
        "some; of its own settings, what is tried of them is in the section Search, and the others "
        "are not tuned."
    )


def _search(
    whole: Raw,
    suite: Path,
    part: Part,
    joined: Mapping[str, str],
    others: Sequence[str],
    space: Mapping[str, Tried],
) -> None:
    """Let the new methods be searched for: as what they are added to, and by the part's own."""
    if not space and "search" not in whole:
        return
    if not _chooses_for_each(whole):
        if space:
            raise _nothing_to_search(suite, shared="search" in whole)
        # The choice is the suite's, by the trials that it has: none of yours joins them.
        at = whole["search"].get("at", {})
        whole["search"] = {**whole["search"], "at": {_METHOD: list(others), **at}}
        return
    if space and part.kind != "penalty":
        raise SpecError(
            f"a search is over penalties' settings, and this is a {part.kind}", file=part.file
        )
    axes = {f"penalties.{part.name}.{key}": tried for key, tried in space.items()}
    methods = dict(whole["search"].get("methods", {}))
    follows = dict(whole["search"].get("follows", {}))
    # What follows a method follows it with the part too, and has none of the part's to try itself.
    own = {
        name: {**(methods.get(base) or {}), **({} if base in follows else axes)}
        for base, name in joined.items()
    }
    methods |= {name: new for name, new in {part.name: axes, **own}.items() if new}
    follows |= {
        name: joined.get(follows[base], follows[base])
        for base, name in joined.items()
        if base in follows
    }
    whole["search"] = {**whole["search"], "methods": methods, "follows": follows}
    _check_as_many(whole["search"], suite, [part.name, *own], others)


def _nothing_to_search(suite: Path, *, shared: bool) -> SpecError:
    return SpecError(
        "chooses for all methods at once, so that nothing of yours is tuned by itself beside it"
        if shared
        else "searches for no settings, so that nothing of yours is tuned beside it",
        file=suite,
        remedy="leave --search out, or stand beside a suite whose search: has method in per:"
        if shared
        else "leave --search out, or give the suite a search:",
    )


def _check_as_many(search: Raw, suite: Path, own: Sequence[str], others: Sequence[str]) -> None:
    """Check that the new methods have as many candidates as the suite's."""
    spec = SearchSpec.model_validate(search)

    def candidates(method: str) -> int:
        space = spec.space_for(method)
        try:
            return len(drawn({axis: dimension(raw) for axis, raw in space.items()}, spec.draw))
        except ValueError as error:
            raise SpecError(f"what is tried for {method}: {error}", file=suite) from None

    asked = candidates(others[0])
    for name in own:
        if (found := candidates(name)) != asked:
            raise SpecError(
                f"{others[0]} has {asked} candidates and {name} {found}: every method is tuned by "
                "as many",
                file=suite,
                remedy="its search is a grid: add --search NAME=VALUES with as many values of "
                f"{name}'s own as make {asked} combinations",
            )
