"""What can be known wrong about a paper's claims before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bench.errors import SpecError, did_you_mean
from bench.spec.cell import PlannedCell, Scalar
from bench.spec.claims import Claim
from bench.spec.comparisons import Place, comparisons
from bench.spec.find import NOT_SUITES
from bench.spec.layers import Layers
from bench.spec.loader import load_yaml
from bench.spec.metrics import CURVES, METRICS, curve_lack, is_curve, is_metric, metric_lack
from bench.spec.paper import Paper
from bench.spec.problems import Source
from bench.spec.recipe import Recipe


def check_claims(
    paper: Paper,
    layers: Layers,
    cells: Iterable[PlannedCell],
    profile: str,
    others: Iterator[tuple[str, Sequence[Place]]],
) -> None:
    """Check a paper's claims: the suites they name, and all that are about one suite.

    Parameters
    ----------
    cells
        The suite's cells under ``profile``.
    others
        The suite's profiles, each with the places (axis values without the seed) of its cells;
        read only as far as a claim selects nothing under ``profile``.

    Raises
    ------
    SpecError
        For an unknown suite, profile, axis, value or metric, for a claim that selects no cell
        in any profile, and for one whose cells never measure its metric.
    """
    folder = layers.file.parent
    profiles = _profiles(layers)
    planned = [p for p in cells if p.labels]
    seen: dict[str, Sequence[Place]] = {profile: places_of(planned)}
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
            _check_measured(claim, layers, planned, where)
            continue
        for name, places in others:
            seen[name] = places
        if not any(_selects(claim, seen[name]) for name in claim.profiles or tuple(seen)):
            raise _selects_nothing(claim, where)


def places_of(planned: Iterable[PlannedCell]) -> list[dict[str, Scalar]]:
    """Return the axis values, without the seed, at which labelled cells stand, each once."""
    found: dict[tuple[tuple[str, Scalar], ...], None] = {}
    for cell in planned:
        if cell.labels:
            found.setdefault(tuple((a, v) for a, v in cell.labels.items() if a != "seed"))
    return [dict(place) for place in found]


class _Where:
    """Where a claim is written; the file is read again only for an error."""

    def __init__(self, file: Path, index: int) -> None:
        self.file = file
        self.index = index

    def error(self, message: str, key: str, remedy: str | None = None) -> SpecError:
        source = Source(load_yaml(self.file)).at("claims", self.index)
        return source.error(message, (key,), remedy)


def _profiles(layers: Layers) -> list[str]:
    written = layers.sources[0].document.data.get("profiles")
    return list(written) if isinstance(written, dict) else []


def _selects(claim: Claim, places: Sequence[Place]) -> bool:
    return len(comparisons(claim, places)) >= (claim.quorum or 1)


def _selects_nothing(claim: Claim, where: _Where) -> SpecError:
    if claim.quorum is not None:
        message = f"selects fewer than {claim.quorum} comparisons in every profile"
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
        *(("compare", c.axis, tuple(v for pair in c.pairs for v in pair)) for c in claim.compare),
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
    if claim.metric is None:
        return
    if claim.at is not None and not is_curve(claim.metric):
        near = did_you_mean(claim.metric, CURVES)
        raise where.error(f"{claim.metric!r} is not a curve", "metric", near)
    if claim.at is None and not is_metric(claim.metric):
        near = did_you_mean(claim.metric, METRICS)
        raise where.error(f"{claim.metric!r} is not a metric", "metric", near)


def _check_measured(
    claim: Claim, layers: Layers, planned: Sequence[PlannedCell], where: _Where
) -> None:
    if claim.metric is None:
        return
    places = places_of(planned)
    terms = {i for comparison in comparisons(claim, places) for _, i in comparison.terms}
    needed = {tuple(places[i].items()) for i in terms}
    lack_of = metric_lack if claim.at is None else curve_lack
    checked: set[tuple[int, int]] = set()
    for cell in planned:
        recipe = cell.cell.recipe
        key = (id(recipe), id(cell.cell.method))
        if key in checked or not isinstance(recipe, Recipe):
            continue
        if tuple((a, v) for a, v in cell.labels.items() if a != "seed") not in needed:
            continue
        checked.add(key)
        lack = lack_of(claim.metric, recipe, cell.cell.method)
        if lack is not None:
            raise where.error(
                f"{claim.metric} is never measured in {layers.file.stem}: {lack.reason}",
                "metric",
                f"{lack.remedy}; or name the profiles it can be asked in (profiles:)",
            )
