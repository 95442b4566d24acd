"""A suite's search: which trainings are tried for which of its cells, and what chooses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.errors import SpecError
from bench.spec.acting import read_of
from bench.spec.cell import Cell, Scalar
from bench.spec.drawing import SearchSpec, Values, dimension, drawn
from bench.spec.families import Families, Family, Labels
from bench.spec.layers import Layers, When
from bench.spec.merge import merge
from bench.spec.metrics import Metric, declared_metrics
from bench.spec.problems import Source
from bench.spec.search_checks import METHOD, search_path
from bench.spec.tuning import Candidate, disagreement, trial_of, tuned_of
from bench.spec.work import Choose, Train

Whens = tuple[When, ...]
# How the table's cells are looked at is not how a trial trains: it has none of these.
_OF_TABLE = (
    "anytime", "forgetting", "forgetting_curves", "forgetting_statistics", "penalty_gradients",
    "test_curves",
)  # fmt: skip
_HELD_OUT = "validation"
_BY_TEST = "best-on-test"


@dataclass(frozen=True)
class Search:
    """One choice: for which cells, by which trials.

    Attributes
    ----------
    scope
        Axis to value, of the axes that have a choice each.
    trials
        Of each candidate, what its trials do at each place.
    """

    scope: Labels
    choose: Choose
    trials: tuple[tuple[Family, ...], ...]


@dataclass
class Searching:
    """Resolves the searches of a suite, each once.

    Parameters
    ----------
    places
        The axis values, without the seed, at which the table has cells.
    matching
        The ``when:`` entries that hold at axis values.
    """

    layers: Layers
    families: Families
    places: Sequence[Labels]
    matching: Callable[[Labels], Whens]
    found: dict[tuple[tuple[str, Scalar], ...], Search] = field(default_factory=dict)

    def tuned(self, place: Labels) -> Family:
        """Return what the cells of a place share: the training by what is chosen for them."""
        search = self._search_for(place)
        own = [self._values_for(place, values) for values in search.choose.candidates]
        each = [self._family(place, values) for values in own]
        works = [family.work for family in each if isinstance(family.work, Train)]
        self._check_read(place, own, [works])
        self._check_alike(each, works)
        self._check_selection(search, works[0])
        candidates = [
            Candidate(values, work)
            for values, work in zip(search.choose.candidates, works, strict=True)
        ]
        first = each[0]
        starts = {role: (stage, state, place) for role, (stage, state, _) in first.starts.items()}
        work = self.families.same(tuned_of(candidates))
        return Family(place, work, starts, first.needs, search)

    def _search_for(self, place: Labels) -> Search:
        per = self._spec.per
        scope = {a: v for a, v in place.items() if per is None or a in per}
        if METHOD in scope:
            scope[METHOD] = self._spec.leader_of(str(scope[METHOD]))
        key = tuple(scope.items())
        if key not in self.found:
            self.found[key] = self._search(scope)
        return self.found[key]

    def _search(self, scope: Labels) -> Search:
        candidates = self._candidates(scope)
        places = self._trial_places(scope)
        self._check_not_by_test(places, candidates[0])
        over = self._overlay()
        rows = [
            [self._family({**place}, values, over) for place in places] for values in candidates
        ]
        works = [[family.work for family in row] for row in rows]
        first = works[0][0]
        assert isinstance(first, Train)
        metric = self._metric(first)
        self._check_read(scope, candidates, works)
        self._check_distinct(scope, candidates, works)
        trials = tuple(
            tuple(
                self.families.of_work(family, trial_of(family.work, metric.name))
                for family in row
                if isinstance(family.work, Train)
            )
            for row in rows
        )
        differing = [a for a in places[0] if len({place[a] for place in places}) > 1]
        choose = Choose(
            metric=metric.name,
            best=metric.best,
            within=self._spec.within / metric.scale,
            candidates=candidates,
            places=tuple({axis: place[axis] for axis in differing} for place in places),
            seeds=self._spec.trial_seeds,
        )
        return Search(scope, choose, trials)

    def _family(self, place: Labels, values: Mapping[str, Scalar], over: Any = None) -> Family:
        labels = {**place, **values}
        return self.families.of_place(labels, self.matching(labels), over)

    def _values_for(self, place: Labels, values: Mapping[str, Scalar]) -> Values:
        """Return what a place trains by, where ``values`` are a candidate of its choice."""
        method = str(place.get(METHOD))
        try:
            return self._spec.values_for(method, values)
        except ValueError as error:
            raise self._error(str(error), ("methods", method)) from None

    def _candidates(self, scope: Labels) -> tuple[Values, ...]:
        method = str(scope.get(METHOD))
        space = self._spec.space_for(method)
        try:
            return drawn({a: dimension(raw) for a, raw in space.items()}, self._spec.draw)
        except ValueError as error:
            own = bool(self._spec.methods.get(method))
            loc = ("methods", method) if own else ("space",)
            told = f"{method}: {error}" if own else str(error)
            raise self._error(told, loc) from None

    def _trial_places(self, scope: Labels) -> list[Labels]:
        at = self._spec.places
        found = [
            place
            for place in self.places
            if all(place[a] == v for a, v in scope.items())
            and all(place[a] in values for a, values in at.items())
        ]
        if not found:
            told = ", ".join(f"{axis} {value}" for axis, value in scope.items())
            raise self._error(
                f"no cell of the table has {told} where trials are to be", ("at",),
                "give a value that the table has there",
            )  # fmt: skip
        return found

    def _overlay(self) -> tuple[Mapping[str, Any], Sequence[Source]]:
        recipe = self._spec.recipe
        evaluation = merge(recipe.get("evaluation", {}), {"test": False})
        over = {**dict.fromkeys(_OF_TABLE), **recipe, "evaluation": evaluation}
        return over, self.layers.sources_of("search", "recipe")

    def _metric(self, work: Train) -> Metric:
        declared = declared_metrics(Cell(work, 0), self.layers.part, ())
        name = self._spec.metric
        if name is None:
            if len(work.tasks) > 1:
                raise self._error(
                    "there are several tasks, and it is not said by which score of them it chooses",
                    (), "say search.metric, such as TASK/validation/top1",
                )  # fmt: skip
            (task,) = work.tasks.values()
            name = f"{_HELD_OUT}/{self.layers.part('objective', task.objective.name).score}"
        held_out = sorted(n for n in declared if _HELD_OUT in n.split("/")[:-1])
        if name not in held_out:
            raise self._error(
                f"{name} is no metric of held-out rows, by which alone a search may choose",
                ("metric",), f"use one of {', '.join(held_out)}",
            )  # fmt: skip
        return declared[name]

    # -- checks ----------------------------------------------------------------------------

    def _check_read(
        self, scope: Labels, candidates: Sequence[Values], works: Sequence[Sequence[Any]]
    ) -> None:
        """Check that penalties whose settings are tried are there: else draws would try nothing."""
        there = {use.name for row in works for work in row for use in work.penalties}
        for axis in candidates[0]:
            kind, _, setting = axis.partition(".")
            name = setting.partition(".")[0]
            if kind == "penalties" and name not in there:
                method = scope.get("method", "the methods")
                raise self.layers.source_of(*search_path(self.layers, axis)).error(
                    f"{axis} is tried for {method}, and no penalty {name} is there",
                    search_path(self.layers, axis),
                    "search it for the methods that have it: search.methods",
                )

    def _check_distinct(
        self, scope: Labels, candidates: Sequence[Values], works: Sequence[Sequence[Any]]
    ) -> None:
        seen: dict[str, Values] = {}
        for values, row in zip(candidates, works, strict=True):
            text = "".join(read_of(work).canonical for work in row)
            other = seen.setdefault(text, values)
            if other is not values:
                axes = [axis for axis in values if values[axis] != other[axis]]
                told = ", ".join(f"{axis} {other[axis]} and {values[axis]}" for axis in axes)
                method = scope.get("method", "the methods")
                raise self._error(
                    f"two candidates of {method} train the same, {told}: the second is no trial",
                    ("space",), f"search {axes[0]} for the methods that read it: search.methods",
                )  # fmt: skip

    def _check_alike(self, families: Sequence[Family], works: Sequence[Train]) -> None:
        differing = disagreement(works)
        if differing is None and any(
            f.needs != families[0].needs or _stages(f) != _stages(families[0]) for f in families
        ):
            differing = "what they start from"
        if differing is not None:
            raise self._error(
                f"candidates differ in {differing}: then they are not trainings of one cell",
                ("space",), "make it an axis of the table",
            )  # fmt: skip

    def _check_not_by_test(self, places: Sequence[Labels], values: Values) -> None:
        if self._spec.recipe.get("selection", _BY_TEST) != _BY_TEST:
            return
        for place in places:
            work = self._family({**place}, values).work
            if isinstance(work, Train) and work.recipe.selection == _BY_TEST:
                raise self._error(
                    f"a trial scores no test split, and the table reports the state {_BY_TEST}",
                    ("recipe", "selection"), "say search: {recipe: {selection: last}}",
                )  # fmt: skip

    def _check_selection(self, search: Search, work: Train) -> None:
        """Check that a trial is scored in the state that the table reports."""
        trial = search.trials[0][0].work
        assert isinstance(trial, Train)
        tried, reported = trial.recipe.selection, work.recipe.selection
        # No trial may select by the test split: there another selection is all that it can have.
        if tried != reported and reported != _BY_TEST:
            raise self._error(
                f"trials are scored in the state {tried}, and the table reports that of {reported}",
                ("recipe", "selection"), f"leave it out, or say selection: {tried} in recipe:",
            )  # fmt: skip

    @property
    def _spec(self) -> SearchSpec:
        assert self.layers.search is not None
        return self.layers.search

    def _error(self, message: str, loc: tuple[str, ...], remedy: str | None = None) -> SpecError:
        path = ("search", *loc)
        return self.layers.source_of(*path).error(message, path, remedy)


def _stages(family: Family) -> dict[str, tuple[str, str]]:
    return {role: (stage, state) for role, (stage, state, _) in family.starts.items()}
