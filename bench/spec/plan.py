"""A suite under one profile, read, validated and enumerated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from bench.spec.acting import Acting
from bench.spec.axis_checks import check_axes_act, check_overlays_act
from bench.spec.budget import Tuning, planned_gradients, planned_tunings
from bench.spec.cell import Cell, Place, PlannedCell, Resources
from bench.spec.checks import check_cells, check_layers
from bench.spec.claim_checks import check_claims
from bench.spec.excerpt import Excerpt
from bench.spec.expand import Expansion
from bench.spec.holdout_checks import check_held_out
from bench.spec.layers import Layers, lay, profile_names, read_layers
from bench.spec.loader import Document
from bench.spec.metrics import PERCENT, Metrics
from bench.spec.names import check_names
from bench.spec.paper import Paper, load_paper
from bench.spec.seed_checks import check_seeds
from bench.spec.shown import Declarations, shown_metrics
from bench.spec.suite import Suite
from bench.spec.training_checks import check_training
from bench.spec.tuning import Trial


@dataclass(frozen=True)
class Plan:
    """A suite under one profile, enumerated.

    Attributes
    ----------
    cells
        Every planned cell, parents before children. One cell may stand at several places,
        where an axis does not change it.
    gradients
        Cell id of a training of the table, or of a trial of its search, to the gradients that it
        is planned to take; absent where its update does not say.
    tunings
        Cell id to what its search costs; absent where it has none.
    metrics, curves
        What the records of the table's cells will hold, derived errors included, by name.
    excerpt, whole
        What was taken of the suite, and the plan of all of it; None where this is all.
    """

    paper: Paper
    suite: Suite
    profile: str
    cells: tuple[PlannedCell, ...]
    resources: Resources
    file: Path
    metrics: Metrics
    curves: Metrics
    gradients: Mapping[str, int] = field(default_factory=dict)
    tunings: Mapping[str, Tuning] = field(default_factory=dict)
    excerpt: Excerpt | None = None
    whole: Plan | None = None

    def unique(self) -> dict[str, Cell]:
        """Return each cell once, by id, parents before children."""
        return {planned.cell.id: planned.cell for planned in self.cells}

    @cached_property
    def fractions(self) -> frozenset[str]:
        """Names of the metrics and curves that are fractions of a whole, better when higher.

        A difference of two fractions is declared as better when lower, and may be below 0.
        """
        declared = (*self.metrics.values(), *self.curves.values())
        return frozenset(m.name for m in declared if m.unit == PERCENT and m.best == "highest")

    @cached_property
    def shown(self) -> tuple[PlannedCell, ...]:
        """The cells of the table."""
        return tuple(planned for planned in self.cells if planned.shown)

    @cached_property
    def behind(self) -> tuple[PlannedCell, ...]:
        """The cells that are there only because those of the table start from them."""
        return tuple(planned for planned in self.cells if not planned.shown)


def load_plan(file: Path, profile: str = "offline", *, seeds: int = 0) -> Plan:
    """Read, validate and expand a suite.

    Parameters
    ----------
    seeds
        At least so many seeds everywhere: those that follow on the suite's own.

    Raises
    ------
    SpecError
        For anything wrong in the suite, its paper's folder or a plug-in, before anything runs.
    """
    layers = _read(file, profile)
    _check_written(layers)
    paper = load_paper(file.parent)
    return _expanded(layers, paper, profile, _other_places(file, profile), seeds)


def plan_of(documents: Sequence[Document], paper: Paper) -> Plan:
    """Validate and expand a suite that stands in no file; raises as `load_plan` does.

    Parameters
    ----------
    documents
        Laid over each other, the last on top.
    """
    layers = lay(documents)
    check_names(layers)
    _check_written(layers)
    return _expanded(layers, paper, "", iter(()))


def _check_written(layers: Layers) -> None:
    check_layers(layers, layers.everywhere)
    check_overlays_act(layers)


def _expanded(
    layers: Layers,
    paper: Paper,
    profile: str,
    others: Iterator[tuple[str, list[Place]]],
    seeds: int = 0,
) -> Plan:
    expansion = Expansion(layers, seeds)
    cells = tuple(expansion.cells())
    if not cells:
        raise layers.sources[-1].error("selects no cell", ("axes",), "give every axis a value")
    check_cells(layers, cells)
    check_training(layers, cells)
    check_held_out(layers, cells)
    check_seeds(layers, cells)
    acting = Acting(cells)
    check_axes_act(layers, cells, acting)
    declared = Declarations(layers, cells)
    metrics = shown_metrics(layers, declared)
    counted = (p.cell for p in cells if p.shown or isinstance(p.cell.work, Trial))
    gradients = planned_gradients(counted, layers.part)
    follows = layers.search.follows if layers.search is not None else {}
    tunings = planned_tunings(cells, gradients, follows)
    check_claims(paper, layers, declared, acting, gradients, tunings, profile, others)
    selections = {p.cell.recipe.selection for p in declared.distinct if p.cell.recipe}
    suite = Suite(
        name=layers.file.stem,
        title=layers.title,
        source=layers.source,
        notes=layers.notes,
        table=layers.table,
        metrics=metrics,
        labels=layers.labels,
        axes=tuple(expansion.order),
        selection=tuple(sorted(selections)),
        figures=layers.figures,
        trials_at=layers.search.places if layers.search is not None else {},
        follows=follows,
    )
    return Plan(
        paper,
        suite,
        profile,
        cells,
        layers.resources,
        layers.file,
        declared.metrics,
        declared.curves,
        gradients,
        tunings,
    )


def _other_places(file: Path, profile: str) -> Iterator[tuple[str, list[Place]]]:
    """Yield the other profiles, each with the axis values, without the seed, of its cells."""
    for name in profile_names(file):
        if name != profile:
            expansion = Expansion(_read(file, name))
            yield name, [place for place, _ in expansion.places()]


def _read(file: Path, profile: str) -> Layers:
    layers = read_layers(file, profile)
    check_names(layers)
    return layers
