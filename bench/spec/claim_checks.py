"""What can be known wrong about a paper's claims before anything runs."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from bench.errors import SpecError, did_you_mean
from bench.spec.acting import Acting
from bench.spec.budget import Tuning
from bench.spec.budget_checks import check_budget, check_grids
from bench.spec.cell import PlannedCell
from bench.spec.claims import AtLeast, Claim
from bench.spec.comparisons import Place, Terms, comparisons, differences
from bench.spec.find import NOT_SUITES
from bench.spec.layers import Layers
from bench.spec.loader import load_yaml
from bench.spec.metrics import difference_of
from bench.spec.paper import Paper
from bench.spec.problems import Source
from bench.spec.recipe import Scalar
from bench.spec.shown import Declarations, check_reading, check_recorded


def check_claims(
    paper: Paper,
    layers: Layers,
    declared: Declarations,
    acting: Acting,
    gradients: Mapping[str, int],
    tunings: Mapping[str, Tuning],
    profile: str,
    others: Iterator[tuple[str, Sequence[Place]]],
) -> None:
    """Check a paper's claims: the suites they name, and all that are about one suite.

    Parameters
    ----------
    declared
        The suite's cells under ``profile``, and what they record.
    acting
        Which of them do the same.
    gradients
        How many each of them is planned to take, by id.
    tunings
        What the search of each of them costs, by id; absent where it is not tuned.
    others
        The suite's profiles, each with the places (axis values without the seed) of its cells;
        read only as far as a claim selects nothing under ``profile``.

    Raises
    ------
    SpecError
        For an unknown suite, profile, axis, value or metric, for a claim that selects no cell
        in any profile, for one whose cells never measure its metric, for one that compares
        cells with themselves, and for one whose cells have not the budget that it names.
    """
    folder = layers.file.parent
    profiles = _profiles(layers)
    seen: dict[str, Sequence[Place]] = {profile: places_of(declared.cells)}
    for index, claim in enumerate(paper.claims):
        where = _Where(folder / "paper.yaml", index)
        if claim.kind != "tested":
            continue
        _check_suite(claim, folder, where)
        if claim.suite != layers.file.stem:
            continue
        _check_names(claim, layers, profiles, where)
        if claim.profiles and profile not in claim.profiles:
            continue
        if _selects(claim, seen[profile]):
            _check_measured(claim, layers, declared, where)
            _check_apart(claim, declared.cells, acting, where)
            check_budget(claim, declared.distinct, gradients, tunings, where.error)
            check_grids(claim, declared.distinct, gradients, where.error)
            continue
        for name, places in others:
            seen[name] = places
        if not any(_selects(claim, seen[name]) for name in claim.profiles or tuple(seen)):
            raise _selects_nothing(claim, where)


def places_of(planned: Iterable[PlannedCell]) -> list[dict[str, Scalar]]:
    """Return the places at which cells of the table stand, each once."""
    found: dict[tuple[tuple[str, Scalar], ...], None] = {}
    seen: set[int] = set()
    for cell in planned:
        # The cells of one place share it and differ in their seed alone.
        if cell.shown and id(cell.place) not in seen:
            seen.add(id(cell.place))
            found.setdefault(tuple(cell.place.items()))
    return [dict(place) for place in found]


class _Where:
    """Where a claim is written; the file is read again only for an error."""

    def __init__(self, file: Path, index: int) -> None:
        self.file = file
        self.index = index

    def error(
        self, message: str, key: str | tuple[str, ...], remedy: str | None = None
    ) -> SpecError:
        source = Source(load_yaml(self.file)).at("claims", self.index)
        return source.error(message, (key,) if isinstance(key, str) else key, remedy)


def _profiles(layers: Layers) -> list[str]:
    written = layers.sources[0].document.data.get("profiles")
    return list(written) if isinstance(written, dict) else []


def _selects(claim: Claim, places: Sequence[Place]) -> bool:
    found = len(comparisons(claim, places))
    return found >= (claim.quorum(found) or 1)


def _selects_nothing(claim: Claim, where: _Where) -> SpecError:
    if isinstance(claim.of, AtLeast):
        message = f"selects fewer than {claim.of.at_least} comparisons in every profile"
        return where.error(message, "of", "ask for fewer")
    key = "where" if claim.where else "compare" if claim.compare else "suite"
    remedy = "both values of a pair need cells at the same places" if claim.compare else None
    return where.error(f"selects no cell of {claim.suite} in any profile", key, remedy)


def _check_suite(claim: Claim, folder: Path, where: _Where) -> None:
    suites = sorted(f.stem for f in folder.glob("*.yaml") if f.name not in NOT_SUITES)
    if claim.suite not in suites:
        raise where.error(
            f"there is no suite {claim.suite!r} in this folder",
            "suite",
            did_you_mean(claim.suite, suites),
        )


def _check_names(claim: Claim, layers: Layers, profiles: list[str], where: _Where) -> None:
    for name in claim.profiles:
        if name not in profiles:
            near = did_you_mean(name, profiles)
            raise where.error(f"there is no profile {name!r}", "profiles", near)
    named: list[tuple[str, str, tuple[Scalar, ...]]] = [
        *(("compare", contrast.axis, contrast.values) for contrast in claim.compare),
        *(("where", axis, values) for axis, values in claim.where.items()),
        *(("mean_over", axis, ()) for axis in claim.mean_over),
    ]
    for key, axis, values in named:
        if axis not in layers.everywhere:
            near = did_you_mean(axis, layers.everywhere)
            raise where.error(f"{axis!r} is not an axis of {claim.suite}", key, near)
        known = layers.everywhere[axis]
        for value in values:
            if value not in known:
                raise where.error(
                    f"{value!r} is not a value of {axis} in any profile of {claim.suite}",
                    key,
                    did_you_mean(value, sorted(map(str, known))),
                )


def _check_measured(claim: Claim, layers: Layers, declared: Declarations, where: _Where) -> None:
    if claim.metric is None:
        return
    places = places_of(declared.cells)
    terms = {i for comparison in comparisons(claim, places) for _, i in comparison.terms}
    needed = {tuple(places[i].items()) for i in terms}
    names = difference_of(claim.metric) or (claim.metric,)
    asked = [at for at in (claim.at, *claim.readings) if at is not None]
    reached = dict.fromkeys(at.curve for at in asked if at.curve is not None)
    for key, name in (*(("metric", name) for name in names), *(("at", name) for name in reached)):
        check_recorded(
            where,
            (key,),
            name,
            declared,
            [planned for planned in declared.distinct if tuple(planned.place.items()) in needed],
            curve=claim.at is not None,
            remedy="; or name the profiles it can be asked in (profiles:)",
            suite=layers.file.stem,
        )
    units = {declared.metrics[name].unit for name in names} if claim.at is None else set()
    if len(units) > 1:
        raise where.error("is a difference of metrics of different units", "metric")
    for at in asked:
        check_reading(where, ("at",), claim.metric, at, declared)


def _check_apart(claim: Claim, cells: Iterable[PlannedCell], acting: Acting, where: _Where) -> None:
    """Check that no difference is one of cells that do the same, at any seed."""
    ids: dict[tuple[tuple[str, Scalar], ...], dict[Scalar | None, str]] = {}
    for planned in cells:
        if planned.shown:
            of_place = ids.setdefault(tuple(planned.place.items()), {})
            of_place[planned.seed] = acting.of(planned.cell)
    places, by_seed = [dict(place) for place in ids], list(ids.values())
    for place, terms in differences(claim, places):
        if _is_nothing(terms, by_seed):
            (_, one), (_, other) = terms[:2]
            raise where.error(
                f"compares cells with themselves: {_text(places[one], place)} and "
                f"{_text(places[other], place)} do the same at {_text(place, {}) or 'all places'}",
                "compare",
                "compare other values, or leave this place out by where:",
            )
    for comparison in comparisons(claim, places):
        if claim.compare and _is_nothing(comparison.terms, by_seed):
            raise where.error(
                "takes off all that it adds: its mean is 0 whatever the records say",
                "compare",
                "leave out pairs that are others turned round",
            )


def _is_nothing(terms: Terms, by_seed: Sequence[Mapping[Scalar | None, str]]) -> bool:
    """Whether a sum is 0 at a seed by itself: each cell is added as often as it is taken off."""
    for seed in by_seed[terms[0][1]]:
        if all(seed in by_seed[place] for _, place in terms):
            weights: defaultdict[str, list[float]] = defaultdict(list)
            for weight, place in terms:
                weights[by_seed[place][seed]].append(weight)
            if not any(math.fsum(each) for each in weights.values()):
                return True
    return False


def _text(place: Place, without: Place) -> str:
    return ", ".join(f"{a} {value}" for a, value in place.items() if a not in without)
