"""From a suite file and a profile to cells: axes × ``when:`` × stages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.errors import did_you_mean
from bench.spec.cell import AttentionRecipe, Cell, Method, PlannedCell, Resources, Scalar
from bench.spec.checks import check_cells, check_layers
from bench.spec.claim_checks import check_claims
from bench.spec.further import with_further
from bench.spec.layers import Layers, When, profile_names, read_layers
from bench.spec.merge import merge
from bench.spec.paper import Paper, load_paper
from bench.spec.problems import Source, validate
from bench.spec.recipe import Recipe
from bench.spec.resolve import resolve_method, set_dotted
from bench.spec.suite import CELL_AXES, DOTTED, LAST_AXES, Suite
from bench.spec.training_checks import check_training

Labels = dict[str, Scalar]
# How its children are looked at is not how a stage is: it inherits none of these.
_MEASURING = ("anytime", "forgetting", "selection", "validate_every")


@dataclass(frozen=True)
class Plan:
    """A suite under one profile, enumerated.

    Attributes
    ----------
    cells
        Every planned cell, parents before children. One cell may stand under several labels,
        where an axis does not change it.
    """

    paper: Paper
    suite: Suite
    profile: str
    cells: tuple[PlannedCell, ...]
    resources: Resources
    file: Path

    @cached_property
    def shown(self) -> tuple[PlannedCell, ...]:
        """The cells of the table."""
        return tuple(planned for planned in self.cells if planned.shown)

    @cached_property
    def behind(self) -> tuple[PlannedCell, ...]:
        """The cells behind it, which others start from."""
        return tuple(planned for planned in self.cells if not planned.shown)

    def unique(self) -> dict[str, Cell]:
        """Return each cell once, by id, parents before children."""
        return {planned.cell.id: planned.cell for planned in self.cells}


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
    layers = read_layers(file, profile)
    check_layers(layers, layers.everywhere)
    paper = load_paper(file.parent)
    expansion = _Expansion(layers, seeds)
    cells = tuple(expansion.cells())
    if not cells:
        raise layers.sources[-1].error("selects no cell", ("axes",), "give every axis a value")
    check_cells(layers, cells)
    check_training(layers, cells)
    check_claims(paper, layers, cells, profile, _other_places(file, profile))
    selections = {
        p.cell.recipe.selection for p in cells if p.labels and isinstance(p.cell.recipe, Recipe)
    }
    suite = Suite(
        name=file.stem,
        title=layers.title,
        source=layers.source,
        notes=layers.notes,
        table=layers.table,
        labels=layers.labels,
        axes=tuple(expansion.order),
        selection=tuple(sorted(selections)),
        figures=layers.figures,
    )
    return Plan(paper, suite, profile, cells, layers.resources, file)


def _other_places(file: Path, profile: str) -> Iterator[tuple[str, list[Labels]]]:
    """Yield the other profiles, each with the axis values, without the seed, of its cells."""
    for name in profile_names(file):
        if name != profile:
            expansion = _Expansion(read_layers(file, name))
            yield name, list(expansion.places())


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
class _Expansion:
    layers: Layers
    seeds: int = 0
    order: list[str] = field(init=False)
    _recipes: dict[Any, Recipe] = field(default_factory=dict)
    _methods: dict[Any, Method] = field(default_factory=dict)
    _attention: dict[Any, AttentionRecipe] = field(default_factory=dict)
    _levels: dict[str, int] = field(default_factory=dict)
    _stages: dict[Any, Cell] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.order = axis_order(self.layers.axes)
        self._check_whens()

    def cells(self) -> Iterator[PlannedCell]:
        emitted: set[str] = set()
        for labels, whens in self._combinations(0, {}):
            cell, ancestors = self._cell(labels, whens)
            for parent in ancestors:
                if parent.id not in emitted:
                    emitted.add(parent.id)
                    yield PlannedCell(parent, {}, self._levels[parent.id])
            emitted.add(cell.id)
            yield PlannedCell(cell, dict(labels), self._levels[cell.id])

    def places(self) -> Iterator[Labels]:
        """Yield the axis values, without the seed, at which there are cells."""
        self.order = [axis for axis in self.order if axis != "seed"]
        for labels, whens in self._combinations(0, {}):
            if not any(when.exclude for when in whens):
                yield labels

    # -- enumeration -----------------------------------------------------------------------

    def _combinations(
        self, depth: int, labels: Labels
    ) -> Iterator[tuple[Labels, tuple[When, ...]]]:
        if depth == len(self.order):
            yield labels, self._matching(labels)
            return
        axis = self.order[depth]
        if axis == "seed":
            # Nothing may depend on the seed, so what matches is found once for all seeds.
            whens = self._matching(labels)
            if not any(when.exclude for when in whens):
                for value in self._values(axis, labels):
                    yield {**labels, axis: value}, whens
            return
        for value in self._values(axis, labels):
            yield from self._combinations(depth + 1, {**labels, axis: value})

    def _values(self, axis: str, labels: Labels) -> Sequence[Scalar]:
        values: Sequence[Scalar] = self.layers.axes[axis]
        for when in self.layers.whens:
            if axis in when.axes and when.matches(labels):
                values = when.axes[axis]
        return with_further(values, self.seeds) if axis == "seed" else values

    def _matching(self, labels: Labels) -> tuple[When, ...]:
        return tuple(when for when in self.layers.whens if when.matches(labels))

    # -- resolution ------------------------------------------------------------------------

    def _cell(self, labels: Labels, whens: tuple[When, ...]) -> tuple[Cell, list[Cell]]:
        method_name = str(labels["method"])
        dotted = tuple((a, v) for a, v in labels.items() if a.startswith(DOTTED))
        key = (method_name, tuple(w.index for w in whens), dotted)
        if key not in self._recipes:
            raw, sources = self._raw_recipe(whens, dotted)
            self._recipes[key] = self._shared(validate(Recipe, raw, sources))
            self._methods[key] = resolve_method(self.layers, method_name, whens, dotted)
        recipe, method = self._recipes[key], self._methods[key]
        ancestors: list[Cell] = []
        weights, parents = str(labels["weights"]), {}
        if weights.startswith("stage:"):
            stage, above = self._stage(weights.removeprefix("stage:"), labels, ())
            ancestors += [*above, stage]
            parents["weights"] = stage.id
            weights = "stage"
        base = {
            "backbone": str(labels["backbone"]),
            "weights": weights,
            "dataset": str(labels["dataset"]),
            "sampling_rate": float(labels["sampling_rate"]),
            "seed": int(labels["seed"]),
        }
        return self._finish(base, recipe, method, parents, ancestors)

    def _finish(
        self,
        base: dict[str, Any],
        recipe: Recipe,
        method: Method,
        parents: dict[str, str],
        ancestors: list[Cell],
    ) -> tuple[Cell, list[Cell]]:
        if self.layers.needs(method, "channel_attention"):
            attention = Cell(
                kind="channel-attention",
                recipe=self._attention_recipe(recipe),
                parents=dict(parents),
                **base,
            )
            self._set_level(attention)
            ancestors = [*ancestors, attention]
            parents = {**parents, "channel-attention": attention.id}
        cell = Cell(kind="train", recipe=recipe, method=method, parents=parents, **base)
        self._set_level(cell)
        return cell, ancestors

    def _set_level(self, cell: Cell) -> None:
        above = [self._levels[parent] for parent in cell.parents.values()]
        self._levels[cell.id] = 1 + max(above) if above else 0

    def _attention_recipe(self, recipe: Recipe) -> AttentionRecipe:
        key = (recipe.image, recipe.channel_attention)
        return self._attention.setdefault(
            key, AttentionRecipe(image=recipe.image, settings=recipe.channel_attention)
        )

    def _shared(self, recipe: Recipe) -> Recipe:
        # Equal recipes become one object, so that their canonical text is made once.
        return self._recipes.setdefault(("same", recipe.model_dump_json()), recipe)

    def _raw_recipe(
        self, whens: tuple[When, ...], dotted: tuple[tuple[str, Scalar], ...]
    ) -> tuple[dict[str, Any], list[Source]]:
        raw, sources = self.layers.recipe, list(self.layers.recipe_sources)
        for when in whens:
            if when.recipe:
                raw = merge(raw, when.recipe)
                sources.append(when.source.at("recipe"))
        for axis, value in dotted:
            if axis.startswith("recipe."):
                raw = set_dotted(raw, axis.split(".")[1:], value)
        return raw, sources

    # -- stages ----------------------------------------------------------------------------

    def _stage(self, name: str, labels: Labels, below: tuple[str, ...]) -> tuple[Cell, list[Cell]]:
        stage = self.layers.stages[name]
        if name in below:
            chain = " -> ".join([*below, name])
            raise self.layers.stage_source(name).error(f"starts from itself: {chain}", ("weights",))
        given = {
            axis: labels[axis] if getattr(stage, axis) is None else getattr(stage, axis)
            for axis in ("backbone", "dataset", "sampling_rate", "seed")
        }
        key = (name, tuple(given.values()))
        ancestors: list[Cell] = []
        weights, parents = stage.weights, {}
        if weights.startswith("stage:"):
            inner = {**labels, **given}
            parent, above = self._stage(weights.removeprefix("stage:"), inner, (*below, name))
            ancestors = [*above, parent]
            parents["weights"] = parent.id
            weights = "stage"
        if (*key, "recipe") not in self._recipes:
            source = self.layers.stage_source(name).at("recipe")
            inherited = {k: v for k, v in self.layers.recipe.items() if k not in _MEASURING}
            raw = merge(inherited, stage.recipe)
            recipe = validate(Recipe, raw, [*self.layers.recipe_sources, source])
            self._recipes[(*key, "recipe")] = self._shared(recipe)
            self._methods[(*key, "recipe")] = resolve_method(self.layers, stage.method, (), ())
        base = {
            "backbone": str(given["backbone"]),
            "weights": weights,
            "dataset": str(given["dataset"]),
            "sampling_rate": float(given["sampling_rate"]),
            "seed": int(given["seed"]),
        }
        recipe, method = self._recipes[(*key, "recipe")], self._methods[(*key, "recipe")]
        return self._finish(base, recipe, method, parents, ancestors)

    # -- checks ----------------------------------------------------------------------------

    def _check_whens(self) -> None:
        for when in self.layers.whens:
            for axis in when.conditions:
                if axis not in self.layers.axes:
                    raise when.source.error(
                        "is neither an axis nor one of recipe, methods, axes, exclude",
                        (axis,),
                        did_you_mean(axis, [*self.layers.axes, "recipe", "methods", "exclude"]),
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
