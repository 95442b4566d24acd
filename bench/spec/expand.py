"""From a suite file and a profile to cells: axes × ``when:`` × stages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.errors import SpecError, did_you_mean
from bench.spec.cell import (
    CHECKPOINT,
    PREDICTIONS,
    SEED,
    START,
    Cell,
    Parent,
    PlannedCell,
    Resources,
)
from bench.spec.checks import check_cells, check_layers
from bench.spec.claim_checks import check_claims
from bench.spec.further import with_further
from bench.spec.layers import WHEN_KEYS, Layers, When, parse_stage, profile_names, read_layers
from bench.spec.merge import merge
from bench.spec.metrics import Metrics
from bench.spec.paper import Paper, load_paper
from bench.spec.parts import SOURCE_MAPS, Part, find_part, known_parts, part_names
from bench.spec.problems import Source, validate
from bench.spec.recipe import Recipe, Scalar
from bench.spec.resolve import (
    Composition,
    Dotted,
    lay_dotted,
    resolve_method,
    resolve_network,
    resolve_recipe,
    resolve_use,
    resolve_uses,
)
from bench.spec.shown import Declarations, shown_metrics
from bench.spec.suite import (
    CELL_AXES,
    DOTTED,
    LAST_AXES,
    MeasureSpec,
    Role,
    Suite,
    TaskSpec,
)
from bench.spec.training_checks import check_training
from bench.spec.work import Measure, Network, Start, Task, Train, Work

Labels = dict[str, Scalar]
# How its children are looked at is not how a stage is: it inherits none of these.
_MEASURING = ("anytime", "forgetting", "selection", "validate_every")


@dataclass(frozen=True)
class Plan:
    """A suite under one profile, enumerated.

    Attributes
    ----------
    cells
        Every planned cell, parents before children. One cell may stand at several places,
        where an axis does not change it.
    metrics, curves
        What the records of the table's cells will hold, derived errors included, by name.
    """

    paper: Paper
    suite: Suite
    profile: str
    cells: tuple[PlannedCell, ...]
    resources: Resources
    file: Path
    metrics: Metrics
    curves: Metrics

    def unique(self) -> dict[str, Cell]:
        """Return each cell once, by id, parents before children."""
        return {planned.cell.id: planned.cell for planned in self.cells}

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
    layers = read_layers(file, profile)
    check_layers(layers, layers.everywhere)
    paper = load_paper(file.parent)
    expansion = _Expansion(layers, seeds)
    cells = tuple(expansion.cells())
    if not cells:
        raise layers.sources[-1].error("selects no cell", ("axes",), "give every axis a value")
    check_cells(layers, cells)
    check_training(layers, cells)
    declared = Declarations(layers, cells)
    metrics = shown_metrics(layers, declared)
    check_claims(paper, layers, declared, profile, _other_places(file, profile))
    selections = {p.cell.recipe.selection for p in cells if p.shown and p.cell.recipe}
    suite = Suite(
        name=file.stem,
        title=layers.title,
        source=layers.source,
        notes=layers.notes,
        table=layers.table,
        metrics=metrics,
        labels=layers.labels,
        axes=tuple(expansion.order),
        selection=tuple(sorted(selections)),
        figures=layers.figures,
    )
    return Plan(
        paper, suite, profile, cells, layers.resources, file, declared.metrics, declared.curves
    )


def _other_places(file: Path, profile: str) -> Iterator[tuple[str, list[Labels]]]:
    """Yield the other profiles, each with the axis values, without the seed, of its cells."""
    for name in profile_names(file):
        if name != profile:
            expansion = _Expansion(read_layers(file, name))
            yield name, [place for place, _ in expansion.places()]


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
class _Family:
    """What the cells of one place share: everything but the seed and what follows from it."""

    labels: Labels
    work: Work
    starts: Mapping[str, tuple[str, str, Labels]] = field(default_factory=dict)
    """Role to stage, state and labels, where a network is another cell's."""
    needs: tuple[tuple[str, Measure], ...] = ()
    """Measurements that are parents, by role."""


@dataclass
class _Expansion:
    layers: Layers
    seeds: int = 0
    order: list[str] = field(init=False)
    _recipes: dict[Any, Recipe] = field(default_factory=dict)
    _methods: dict[Any, Composition] = field(default_factory=dict)
    _networks: dict[str, Network] = field(default_factory=dict)
    _levels: dict[str, int] = field(default_factory=dict)
    _stages: dict[Any, _Family] = field(default_factory=dict)
    _stage_cells: dict[Any, tuple[Cell, list[PlannedCell]]] = field(default_factory=dict)
    _works: dict[str, Work] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.order = axis_order(self.layers.axes)
        self._check_whens()
        for name in self.layers.networks:
            self._network(name)

    def cells(self) -> Iterator[PlannedCell]:
        """Yield every cell of the table, each after those that it starts from."""
        emitted: set[str] = set()
        for place, whens in self.places():
            family = self._family(place, whens)
            for seed in self._values(SEED, place):
                cell, behind = self._cell(family, int(seed), ())
                for parent in behind:
                    if parent.cell.id not in emitted:
                        emitted.add(parent.cell.id)
                        yield parent
                emitted.add(cell.id)
                yield PlannedCell(cell, place, seed, self._levels[cell.id])

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

    # -- families --------------------------------------------------------------------------

    def _family(self, place: Labels, whens: tuple[When, ...]) -> _Family:
        dotted = tuple((a, v) for a, v in place.items() if a.startswith(DOTTED))
        if self.layers.measure:
            return self._measuring(place, whens, dotted)
        tasks_raw = self._overlaid("tasks", whens) or {"": {}}
        tasks = {
            name: self._task(name, raw, place, whens, dotted) for name, raw in tasks_raw.items()
        }
        images = any(self.layers.modality(t.dataset) == "images" for t in tasks.values())
        method_name = str(place["method"])
        key = (method_name, tuple(w.index for w in whens), dotted, images)
        if key not in self._recipes:
            method = self._methods[key] = resolve_method(self.layers, method_name, whens, dotted)
            overlays = [*self._recipe_overlays(whens), (method.recipe, method.recipe_sources)]
            recipe = resolve_recipe(self.layers, overlays, dotted, images=images)
            self._recipes[key] = self._shared(recipe)
        return self._training(
            place, str(place["weights"]), tasks, self._recipes[key], self._methods[key], place
        )

    def _training(
        self,
        labels: Labels,
        weights: str,
        tasks: Mapping[str, Task],
        recipe: Recipe,
        method: Composition,
        below: Labels,
    ) -> _Family:
        stage = parse_stage(weights)
        work = Train(
            network=self._network(str(labels["backbone"])),
            weights="stage" if stage else weights,
            tasks=tasks,
            recipe=recipe,
            trainable=method.trainable,
            update=method.update,
            penalties=method.penalties,
            patches=method.patches,
            warmup=method.warmup,
        )
        starts = {START: (*stage, below)} if stage else {}
        needs = tuple(self._needs(work, stage[0] if stage else None, below))
        return _Family(labels, self._same(work), starts, needs)

    def _same(self, work: Work) -> Work:
        # Equal work becomes one object, so that its canonical text is made once.
        return self._works.setdefault(work.canonical, work)

    def _needs(
        self, work: Train, stage: str | None, labels: Labels
    ) -> Iterator[tuple[str, Measure]]:
        """Yield the measurements that a training's penalties need, by role."""
        needed = {
            need: penalty
            for penalty in (self.layers.part("penalty", use.name) for use in work.penalties)
            for need in penalty.needs
            if need != SOURCE_MAPS
        }
        for name in sorted(needed):
            part = self._needed(name, needed[name])
            if len(work.tasks) > 1:
                raise self.layers.source_of("tasks").error(
                    f"a penalty needs {name}, which is measured on a single task", ("tasks",)
                )
            use = work.recipe.measurements.get(name) or resolve_use(
                self.layers, "measurement", name, self.layers.sources, ("recipe", "measurements")
            )
            start = Start(work.network, work.weights)
            task = None
            if part.data == "task":
                (task,) = work.tasks.values()
                task = task.model_copy(
                    update={"image": task.image or work.recipe.image, "augmentation": None}
                )
            elif part.data == "source":
                task = self._source_task(stage, labels, name, ("axes", "weights"))
            measure = Measure(use, {START: start} if START in part.roles else {}, task)
            yield name, self._same(measure)  # type: ignore[misc]

    def _needed(self, name: str, penalty: Part) -> Part:
        plugins = self.layers.resources.plugins
        part = find_part("measurement", name, plugins)
        if part is None:
            raise SpecError(
                f"the penalty {penalty.name!r} needs {name!r}, which is no measurement",
                file=penalty.file,
                field="needs",
                remedy=did_you_mean(
                    name, [SOURCE_MAPS, *part_names("measurement", known_parts(plugins))]
                ),
            )
        if set(part.roles) - {START}:
            raise SpecError(
                f"the penalty {penalty.name!r} needs {name}, which measures "
                f"{', '.join(part.roles)}: a training has a network in the role {START} alone",
                file=penalty.file,
                field="needs",
            )
        return part

    def _source_task(
        self, stage: str | None, labels: Labels, name: str, loc: tuple[str, ...]
    ) -> Task:
        if stage is None:
            raise self.layers.source_of(*loc).error(
                f"{name} is measured on the task that its start was trained on, and it starts "
                "from no stage",
                loc,
                "use weights: stage:NAME, or stage: NAME in the role start",
            )
        source = self._stage_family(stage, labels, ()).work
        (task,) = source.tasks.values()
        recipe = source.recipe if isinstance(source, Train) else Recipe()
        image = task.image or recipe.image
        return task.model_copy(update={"image": image, "augmentation": None})

    def _network(self, backbone: str) -> Network:
        if backbone not in self._networks:
            self._networks[backbone] = resolve_network(self.layers, backbone)
        return self._networks[backbone]

    def _shared(self, recipe: Recipe) -> Recipe:
        # Equal recipes become one object, so that their canonical text is made once.
        return self._recipes.setdefault(("same", recipe.model_dump_json()), recipe)

    def _recipe_overlays(
        self, whens: Iterable[When]
    ) -> list[tuple[Mapping[str, Any], Sequence[Source]]]:
        return [
            (self.layers.recipe, self.layers.sources_of("recipe")),
            *(
                (when.overlays["recipe"], [when.source.at("recipe")])
                for when in whens
                if when.overlays.get("recipe")
            ),
        ]

    def _overlaid(self, name: str, whens: Iterable[When]) -> dict[str, Any]:
        raw: dict[str, Any] = getattr(self.layers, name)
        for when in whens:
            if when.overlays.get(name):
                raw = merge(raw, when.overlays[name])
        return raw

    # -- tasks -----------------------------------------------------------------------------

    def _task(
        self,
        name: str,
        raw: Mapping[str, Any],
        labels: Mapping[str, Scalar],
        whens: Sequence[When],
        dotted: Dotted,
        stage: tuple[Mapping[str, Any], Source] | None = None,
    ) -> Task:
        """Return a task: the suite's ``task``, then its own overlay, then the dotted axes.

        A stage's data are its own, or those of the cell that starts from it: ``labels``.
        """
        merged = merge(self._overlaid("task", whens), raw)
        sources = self.layers.sources_of("task")
        sources += [w.source.at("task") for w in whens if w.overlays.get("task")]
        if name:
            sources += self.layers.sources_of("tasks", name)
            sources += [w.source.at("tasks", name) for w in whens if w.overlays.get("tasks")]
        if stage is not None:
            data = {axis: labels[axis] for axis in ("dataset", "sampling_rate") if axis in labels}
            merged = merge(merge(merged, data), stage[0])
            sources.append(stage[1])
        merged = lay_dotted(self.layers, merged, sources, dotted, "task")
        spec = validate(TaskSpec, merged, sources)
        dataset = spec.dataset or labels.get("dataset")
        if dataset is None:
            raise self.layers.source_of("tasks", name).error(
                "names no dataset, and there is no axis of it", ("tasks", name), "add dataset:"
            )
        rate = spec.sampling_rate if spec.sampling_rate is not None else labels.get("sampling_rate")
        values = {
            "dataset": str(dataset),
            "sampling_rate": 1.0 if rate is None else float(rate),
            "long_tail": spec.long_tail,
            "objective": resolve_use(
                self.layers, "objective", spec.objective, sources, ("objective",)
            ),
            "transforms": resolve_uses(
                self.layers, "transform", spec.transforms, sources, ("transforms",)
            ),
            "image": spec.image,
            "augmentation": spec.augmentation,
            "weight": spec.weight,
        }
        return validate(Task, values, sources)

    # -- stages ----------------------------------------------------------------------------

    def _stage_family(self, name: str, labels: Labels, below: tuple[str, ...]) -> _Family:
        """Return what the cells of a stage share; ``labels`` are the child's."""
        stage, source = self.layers.stages[name], self.layers.stage_source(name)
        if name in below:
            chain = " -> ".join([*below, name])
            raise source.error(f"starts from itself: {chain}", ("weights",))
        given: Labels = {}
        for axis in ("backbone", "dataset", "sampling_rate", "method"):
            own = stage.task.get(axis, getattr(stage, axis))
            if own is None and axis not in labels and axis != "sampling_rate":
                raise source.error(f"says no {axis}, and there is no axis of it", (), "add it")
            value = labels.get(axis, 1.0) if own is None else own
            given[axis] = value
        key = (name, *given.values())
        if key not in self._stages:
            method = resolve_method(self.layers, str(given["method"]), (), ())
            task = self._task("", {}, given, (), (), (stage.task, source.at("task")))
            images = self.layers.modality(task.dataset) == "images"
            inherited = {k: v for k, v in self.layers.recipe.items() if k not in _MEASURING}
            recipe = resolve_recipe(
                self.layers,
                [
                    (inherited, self.layers.sources_of("recipe")),
                    (stage.recipe, [source.at("recipe")]),
                    (method.recipe, method.recipe_sources),
                ],
                images=images,
            )
            self._stages[key] = self._training(
                given, stage.weights, {"": task}, self._shared(recipe), method,
                {**labels, **given},
            )  # fmt: skip
        return self._stages[key]

    def _stage_cell(
        self, name: str, labels: Labels, seed: int, below: tuple[str, ...]
    ) -> tuple[Cell, list[PlannedCell]]:
        family = self._stage_family(name, labels, below)
        own = self.layers.stages[name].seed
        key = (id(family), seed if own is None else own)
        if key not in self._stage_cells:
            cell, behind = self._cell(family, key[1], (*below, name))
            planned = PlannedCell(cell, {}, None, self._levels[cell.id], f"stage {name}")
            self._stage_cells[key] = (cell, [*behind, planned])
        return self._stage_cells[key]

    # -- measurements ----------------------------------------------------------------------

    def _measuring(self, place: Labels, whens: tuple[When, ...], dotted: Dotted) -> _Family:
        raw = self._overlaid("measure", whens)
        sources = self.layers.sources_of("measure")
        sources += [w.source.at("measure") for w in whens if w.overlays.get("measure")]
        spec = validate(MeasureSpec, raw, sources)
        chosen = {spec.part: {}} if isinstance(spec.part, str) else spec.part
        if len(chosen) == 1:
            ((name, given),) = chosen.items()
            given = {} if given is None else given
            given = lay_dotted(self.layers, given, sources, dotted, "measure", ("part", name))
            chosen = {name: given}
        use = resolve_use(self.layers, "measurement", chosen, sources, ("part",))
        part = self.layers.part("measurement", use.name)
        if set(spec.roles) != set(part.roles):
            raise self.layers.source_of("measure", "roles").error(
                f"{use.name} measures {', '.join(part.roles) or 'no network'}, "
                f"not {', '.join(spec.roles) or 'none'}",
                ("measure", "roles"),
                "give each of its roles a stage, or weights",
            )
        starts, stages = {}, {}
        for name, role in spec.roles.items():
            loc = ("measure", "roles", name)
            starts[name], found = self._role(role, place, loc)
            if part.reads == PREDICTIONS and (found is None or role.checkpoint != "reported"):
                raise self.layers.source_of(*loc).error(
                    f"{use.name} reads predictions, which a stage leaves of the state it reports",
                    loc,
                    "use stage: NAME, without checkpoint",
                )
            if found is not None:
                stage, state, labels = found
                stages[name] = (stage, PREDICTIONS if part.reads == PREDICTIONS else state, labels)
        task = None
        if part.data == "source":
            start = stages.get(START)
            origin, labels = (start[0], start[2]) if start else (None, place)
            task = self._source_task(origin, labels, use.name, ("measure", "roles"))
        elif part.data != "none":
            task = self._task("", {}, place, whens, dotted)
            if self.layers.modality(task.dataset) == "images" and task.image is None:
                recipe = resolve_recipe(self.layers, self._recipe_overlays(whens), dotted)
                task = task.model_copy(update={"image": recipe.image})
        return _Family(place, self._same(Measure(use, starts, task)), stages)

    def _role(
        self, role: Role, place: Labels, loc: tuple[str, ...]
    ) -> tuple[Start, tuple[str, str, Labels] | None]:
        axes = ("backbone", "dataset", "sampling_rate", "method")
        own = {axis: getattr(role, axis) for axis in axes if getattr(role, axis) is not None}
        labels: Labels = {**place, **own}
        if role.stage is not None:
            family = self._stage_family(role.stage, labels, ())
            assert isinstance(family.work, Train)
            if role.seed is not None:
                labels = {**labels, SEED: role.seed}
            elif role.seed_plus:
                labels = {**labels, "seed_plus": role.seed_plus}
            return (
                Start(family.work.network, "stage"),
                (role.stage, str(role.checkpoint), labels),
            )
        if "backbone" not in labels:
            raise self.layers.source_of(*loc).error("names no backbone", loc, "add backbone:")
        weights = str(role.weights)
        if parse_stage(weights):
            raise self.layers.source_of(*loc).error(
                "names a stage as weights", (*loc, "weights"), "use stage: NAME"
            )
        return Start(self._network(str(labels["backbone"])), weights), None

    # -- cells -----------------------------------------------------------------------------

    def _cell(
        self, family: _Family, seed: int, below: tuple[str, ...]
    ) -> tuple[Cell, list[PlannedCell]]:
        """Return a cell and the cells that it starts from, first those that start from none."""
        parents: dict[str, Parent] = {}
        behind: list[PlannedCell] = []
        for role, (stage, state, labels) in family.starts.items():
            at = int(labels.get(SEED, seed + int(labels.get("seed_plus", 0))))
            if at < 0:
                raise self.layers.source_of("measure", "roles", role).error(
                    f"adds {labels['seed_plus']} to the seed {seed}, and no seed is below 0",
                    ("measure", "roles", role, "seed_plus"),
                )
            parent, above = self._stage_cell(stage, labels, at, below)
            behind += above
            parents[role] = Parent(parent.id, self._artifact(stage, state, parent))
        for role, measure in family.needs:
            mine = {START: parents[START]} if START in measure.starts and START in parents else {}
            measured = Cell(measure, seed, mine)
            self._set_level(measured)
            behind.append(PlannedCell(measured, {}, None, self._levels[measured.id], role))
            parents[role] = Parent(measured.id, "arrays")
        cell = Cell(family.work, seed, parents)
        self._set_level(cell)
        return cell, behind

    def _artifact(self, stage: str, state: str, cell: Cell) -> str:
        if state == "reported":
            return CHECKPOINT
        if state == PREDICTIONS:
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
        for when in self.layers.whens:
            for axis in when.conditions:
                if axis not in self.layers.axes:
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
