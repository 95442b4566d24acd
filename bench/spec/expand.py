"""Enumeration: axes × ``when:`` × seeds to cells, each after those that it starts from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.errors import did_you_mean
from bench.spec.cell import (
    CHECKPOINT,
    CHOICE,
    PATCH,
    PREDICTIONS,
    SCORE,
    SEED,
    START,
    Cell,
    Parent,
    PlannedCell,
    with_bodies,
    with_sources,
)
from bench.spec.families import SEED_PLUS, Families, Family, Labels
from bench.spec.further import with_further
from bench.spec.layers import WHEN_KEYS, Layers, When
from bench.spec.recipe import Scalar
from bench.spec.search_checks import check_equal_budgets, check_seeds_apart
from bench.spec.searching import Search, Searching
from bench.spec.suite import CELL_AXES, DOTTED, LAST_AXES
from bench.spec.work import Measure, Train, trial_role


def axis_order(axes: Mapping[str, object]) -> list[str]:
    """Return the order in which axes are enumerated: free, cell fields, dotted, method, seed."""
    free = [a for a in axes if a not in CELL_AXES + LAST_AXES and not a.startswith(DOTTED)]
    dotted = [a for a in axes if a.startswith(DOTTED)]
    return [
        *free,
        *(a for a in CELL_AXES if a in axes),
        *dotted,
        *(a for a in LAST_AXES if a in axes),
    ]


@dataclass
class Expansion:
    """The cells of a suite under one profile."""

    layers: Layers
    seeds: int = 0
    order: list[str] = field(init=False)
    _families: Families = field(init=False)
    _levels: dict[str, int] = field(default_factory=dict)
    _stage_cells: dict[Any, tuple[Cell, list[PlannedCell]]] = field(default_factory=dict)
    _choices: dict[Any, tuple[Cell, list[PlannedCell]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.order = axis_order(self.layers.axes)
        self._families = Families(self.layers)
        self._check_whens()
        for name in self.layers.networks:
            self._families.network(name)

    def cells(self) -> Iterator[PlannedCell]:
        """Yield every cell of the table, each after those that it starts from."""
        emitted: set[str] = set()
        places = list(self.places())
        searching = self._searching([place for place, _ in places])
        for place, whens in places:
            seeds = self._values(SEED, place)
            if searching is None:
                family = self._families.of_place(place, whens)
            else:
                check_seeds_apart(self.layers, seeds)
                family = searching.tuned(place)
            for seed in seeds:
                cell, behind = self._cell(family, int(seed), ())
                for parent in behind:
                    if parent.cell.id not in emitted:
                        emitted.add(parent.cell.id)
                        yield parent
                emitted.add(cell.id)
                yield PlannedCell(cell, place, seed, self._levels[cell.id])
        if searching is not None:
            check_equal_budgets(self.layers, searching.found.values())

    def _searching(self, places: Sequence[Labels]) -> Searching | None:
        if self.layers.search is None:
            return None
        return Searching(self.layers, self._families, places, self._matching)

    def places(self) -> Iterator[tuple[Labels, tuple[When, ...]]]:
        """Yield the axis values, without the seed, at which there are cells."""
        axes = [axis for axis in self.order if axis != SEED]
        for labels in self._combinations(axes, {}):
            # Nothing may depend on the seed, so what matches is found once for all seeds.
            whens = self._matching(labels)
            if not any(when.exclude for when in whens):
                yield labels, whens

    # -- enumeration -----------------------------------------------------------------------

    def _combinations(self, axes: Sequence[str], labels: Labels) -> Iterator[Labels]:
        if not axes:
            yield labels
            return
        for value in self._values(axes[0], labels):
            yield from self._combinations(axes[1:], {**labels, axes[0]: value})

    def _values(self, axis: str, labels: Labels) -> Sequence[Scalar]:
        values: Sequence[Scalar] = self.layers.axes[axis]
        for when in self.layers.whens:
            if axis in when.axes and when.matches(labels):
                values = when.axes[axis]
        return with_further(values, self.seeds) if axis == SEED else values

    def _matching(self, labels: Labels) -> tuple[When, ...]:
        return tuple(when for when in self.layers.whens if when.matches(labels))

    # -- cells -----------------------------------------------------------------------------

    def _stage_cell(
        self, name: str, labels: Labels, seed: int, below: tuple[str, ...]
    ) -> tuple[Cell, list[PlannedCell]]:
        family = self._families.of_stage(name, labels, below)
        own = self.layers.stages[name].seed
        key = (id(family), seed if own is None else own)
        if key not in self._stage_cells:
            cell, behind = self._cell(family, key[1], (*below, name))
            planned = PlannedCell(cell, {}, None, self._levels[cell.id], f"stage {name}")
            self._stage_cells[key] = (cell, [*behind, planned])
        return self._stage_cells[key]

    def _cell(
        self, family: Family, seed: int, below: tuple[str, ...]
    ) -> tuple[Cell, list[PlannedCell]]:
        """Return a cell and the cells that it starts from, first those that start from none."""
        parents: dict[str, Parent] = {}
        behind: list[PlannedCell] = []
        for role, (stage, state, labels) in family.starts.items():
            at = int(labels.get(SEED, seed + int(labels.get(SEED_PLUS, 0))))
            if at < 0:
                raise self.layers.source_of("measure", "roles", role).error(
                    f"adds {labels[SEED_PLUS]} to the seed {seed}, and no seed is below 0",
                    ("measure", "roles", role, "seed_plus"),
                )
            parent, above = self._stage_cell(stage, labels, at, below)
            behind += above
            self._check_transforms(family, seed, parent, role)
            parents[role] = Parent(parent.id, self._artifact(stage, state, parent))
            if role == START:
                parents |= with_bodies(parents[role], parent.parents)
        starts = dict(parents)
        for role, measure in family.needs:
            mine = starts if START in measure.starts else {}
            measured = Cell(measure, seed, mine)
            self._set_level(measured)
            behind.append(PlannedCell(measured, {}, None, self._levels[measured.id], role))
            parents[role] = Parent(measured.id, "arrays")
        if START in starts and isinstance(family.work, Train) and family.work.recipe.forgetting:
            parents |= with_sources(starts[START], behind)
        if family.search is not None:
            choice, above = self._choice(family.search)
            behind += above
            parents[CHOICE] = Parent(choice.id, CHOICE)
        cell = Cell(family.work, seed, parents)
        self._set_level(cell)
        return cell, behind

    def _choice(self, search: Search) -> tuple[Cell, list[PlannedCell]]:
        """Return the cell that chooses, and what it chooses by: itself last."""
        key = tuple(search.scope.items())
        if key not in self._choices:
            parents: dict[str, Parent] = {}
            behind: list[PlannedCell] = []
            for candidate, families in enumerate(search.trials):
                for place, family in enumerate(families):
                    for seed in search.choose.seeds:
                        trial, above = self._cell(family, seed, ())
                        behind += above
                        behind.append(PlannedCell(trial, {}, None, self._levels[trial.id], "trial"))
                        parents[trial_role(candidate, place, seed)] = Parent(trial.id, SCORE)
            # It draws nothing: one seed is as good as another.
            cell = Cell(search.choose, 0, parents)
            self._set_level(cell)
            behind.append(PlannedCell(cell, {}, None, self._levels[cell.id], CHOICE))
            self._choices[key] = cell, behind
        return self._choices[key]

    def _check_transforms(self, family: Family, seed: int, parent: Cell, role: str) -> None:
        # A fixed transform draws from the cell's seed: another one's is another transform.
        task = family.work.task if isinstance(family.work, Measure) else None
        if task is None or parent.seed == seed:
            return
        if self.layers.part("measurement", family.work.kind).data != "task":
            return
        for use in task.transforms:
            transform = self.layers.part("transform", use.name)
            if transform.draws and not transform.random:
                raise self.layers.source_of("measure", "roles", role).error(
                    f"was trained with seed {parent.seed}, and {use.name} is drawn by the "
                    f"measurement's own, {seed}: it would see other inputs",
                    ("measure", "roles", role),
                    "measure networks of the cell's own seed, or without this transform",
                )

    def _artifact(self, stage: str, state: str, cell: Cell) -> str:
        if state == "reported":
            return CHECKPOINT
        if state == PATCH:
            if not cell.can_leave(PATCH):
                raise self.layers.stage_source(stage).error(
                    "trains all of its network, and its patch, which would be all of it, is "
                    "asked for",
                    ("method",),
                    f"use stage:{stage}, without @patch, or a method that trains a part",
                )
            return PATCH
        if state == PREDICTIONS:
            if cell.recipe is not None and not cell.recipe.evaluation.test:
                raise self.layers.stage_source(stage).error(
                    "leaves the test split alone, and its predictions on it are asked for",
                    ("recipe", "evaluation", "test"),
                    "set evaluation.test: true in the stage's recipe",
                )
            return PREDICTIONS
        if state == "start" or int(state) == 0:
            return f"{CHECKPOINT}@start"
        assert cell.recipe is not None
        if int(state) > cell.recipe.steps:
            raise self.layers.stage_source(stage).error(
                f"trains for {cell.recipe.steps} steps, and a cell starts from step {state}"
            )
        return f"{CHECKPOINT}@step {int(state)}"

    def _set_level(self, cell: Cell) -> None:
        if cell.id not in self._levels:
            above = [self._levels[parent.id] for parent in cell.parents.values()]
            self._levels[cell.id] = 1 + max(above) if above else 0

    # -- checks ----------------------------------------------------------------------------

    def _check_whens(self) -> None:
        searched = self.layers.search.axes if self.layers.search is not None else ()
        for when in self.layers.whens:
            for axis in when.conditions:
                if axis not in self.layers.axes and axis not in searched:
                    raise when.source.error(
                        f"is neither an axis nor one of {', '.join(WHEN_KEYS)}",
                        (axis,),
                        did_you_mean(axis, [*self.layers.axes, *WHEN_KEYS]),
                    )
                if axis == "seed":
                    raise when.source.error(
                        "nothing may depend on the seed", (axis,), "remove this condition"
                    )
            for axis in when.axes:
                self._check_axis_override(when, axis)

    def _check_axis_override(self, when: When, axis: str) -> None:
        if axis not in self.layers.axes:
            raise when.source.error(
                "is not an axis", ("axes", axis), did_you_mean(axis, self.layers.axes)
            )
        place = self.order.index(axis)
        late = [c for c in when.conditions if self.order.index(c) >= place]
        if late:
            raise when.source.error(
                f"cannot depend on {late[0]}, which is enumerated after it",
                ("axes", axis),
                f"axes are enumerated in the order {', '.join(self.order)}",
            )
