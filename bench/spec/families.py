"""What the cells of one place do: everything of them but the seed, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bench.errors import SpecError, did_you_mean
from bench.spec.cell import FILE, PREDICTIONS, SEED, START
from bench.spec.layers import Layers, When, parse_stage
from bench.spec.merge import merge
from bench.spec.parts import (
    OF_THE_START,
    SOURCE_HEAD,
    Part,
    find_part,
    known_parts,
    part_names,
)
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
from bench.spec.roles import described, roles_in
from bench.spec.suite import DOTTED, MeasureSpec, Role, Stage, TaskSpec
from bench.spec.work import Measure, Network, Start, Task, Train, Work

if TYPE_CHECKING:
    from bench.spec.searching import Search

Labels = dict[str, Scalar]
# How its children are looked at, what they make of the statistics that a stage leaves them and
# what of it they keep is not how the stage trains: it inherits none of these.
_OF_CHILDREN = (
    "anytime", "forgetting", "forgetting_curves", "forgetting_statistics", "frozen_features",
    "penalty_gradients", "selection", "statistics", "test_curves", "validate_every",
)  # fmt: skip
# No axis can have this name.
SEED_PLUS = "seed +"


@dataclass
class Family:
    """What the cells of one place share: everything but the seed and what follows from it."""

    labels: Labels
    work: Work
    starts: Mapping[str, tuple[str, str, Labels]] = field(default_factory=dict)
    """Role to stage, state and labels, where a network is another cell's."""
    needs: tuple[tuple[str, Measure], ...] = ()
    """Measurements that are parents, by role."""
    search: Search | None = None
    """What chooses its settings, where a search does."""


@dataclass
class Families:
    """Resolves places and stages, each once."""

    layers: Layers
    _recipes: dict[Any, Recipe] = field(default_factory=dict)
    _methods: dict[Any, Composition] = field(default_factory=dict)
    _networks: dict[str, Network] = field(default_factory=dict)
    _stages: dict[Any, Family] = field(default_factory=dict)
    _works: dict[str, Work] = field(default_factory=dict)

    def of_place(
        self,
        place: Labels,
        whens: tuple[When, ...],
        over: tuple[Mapping[str, Any], Sequence[Source]] | None = None,
    ) -> Family:
        """Return what the cells of a place share; ``whens`` are the entries that hold there.

        ``over`` is laid over the recipe, with the fragments that it was merged from: a trial's.
        """
        dotted = tuple((a, v) for a, v in place.items() if a.startswith(DOTTED))
        if self.layers.measure:
            return self._measuring(place, whens, dotted)
        tasks_raw = self._overlaid("tasks", whens) or {"": {}}
        # By name: the order decides sums and running statistics, and an id does not know it.
        tasks = {
            name: self._task(name, raw, place, whens, dotted)
            for name, raw in sorted(tasks_raw.items())
        }
        images = any(self.layers.modality(t.dataset) == "images" for t in tasks.values())
        method_name = str(place["method"])
        key = (method_name, tuple(w.index for w in whens), dotted, images, over is not None)
        if key not in self._recipes:
            method = self._methods[key] = resolve_method(self.layers, method_name, whens, dotted)
            overlays = [*self._recipe_overlays(whens), (method.recipe, method.recipe_sources)]
            overlays += [over] if over is not None else []
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
    ) -> Family:
        stage = parse_stage(weights)
        work = Train(
            network=self.network(str(labels["backbone"])),
            weights="stage" if stage else weights,
            tasks=tasks,
            recipe=recipe,
            trainable=method.trainable,
            update=method.update,
            penalties=method.penalties,
            patches=method.patches,
            warmup=method.warmup,
        )
        self._check_source_head(work)
        starts = {START: (*stage, below)} if stage else {}
        needs = tuple(self._needs(work, stage[0] if stage else None, below))
        return Family(labels, self.same(work), starts, needs)

    def _check_source_head(self, work: Train) -> None:
        """Raise where a penalty needs the head that the weights came with, and they have none."""
        for use in work.penalties if work.weights == "random" else ():
            if SOURCE_HEAD in self.layers.part("penalty", use.name).needs:
                raise self.layers.source_of("axes", "weights").error(
                    f"are random, and the penalty {use.name!r} needs the head of the start",
                    ("axes", "weights"),
                    "use weights that have one: timm, shipped:NAME, file:NAME or stage:NAME",
                )

    def of_work(self, family: Family, work: Train) -> Family:
        """Return a family whose cells do other work from the same start."""
        return replace(family, work=self.same(work))

    def same(self, work: Work) -> Work:
        """Return the one object for work of this content."""
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
            if need not in OF_THE_START
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
            drawn_for = work.datasets if work.weights == "random" else ()
            start = Start(work.network, work.weights, drawn_for)
            task = None
            if part.data == "task":
                (task,) = work.tasks.values()
                task = task.model_copy(
                    update={"image": task.image or work.recipe.image, "augmentation": None}
                )
            elif part.data == "source":
                task = self._source_task(stage, labels, name, ("axes", "weights"))
            held_out = work.recipe.held_out if part.data == "task" else None
            measure = Measure(use, {START: start} if START in part.roles else {}, task, held_out)
            yield name, self.same(measure)  # type: ignore[misc]

    def _needed(self, name: str, penalty: Part) -> Part:
        plugins = self.layers.resources.plugins
        part = find_part("measurement", name, plugins)
        if part is None:
            raise SpecError(
                f"the penalty {penalty.name!r} needs {name!r}, which is no measurement",
                file=penalty.file,
                field="needs",
                remedy=did_you_mean(
                    name, [*OF_THE_START, *part_names("measurement", known_parts(plugins))]
                ),
            )
        if set(part.roles) - {START}:
            raise SpecError(
                f"the penalty {penalty.name!r} needs {name}, which measures "
                f"{described(part.roles)}: a training has a network in the role {START} alone",
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
        source = self.of_stage(stage, labels, ()).work
        if len(source.tasks) > 1:
            raise self.layers.stage_source(stage).error(
                f"{name} is measured on the task of a stage, and this one has several", ("tasks",)
            )
        (task,) = source.tasks.values()
        recipe = source.recipe if isinstance(source, Train) else Recipe()
        image = task.image or recipe.image
        return task.model_copy(update={"image": image, "augmentation": None})

    def network(self, backbone: str) -> Network:
        """Return the network that a value of the axis ``backbone`` stands for."""
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
            "train_classes": spec.train_classes,
            "objective": resolve_use(
                self.layers, "objective", spec.objective, sources, ("objective",)
            ),
            "transforms": resolve_uses(
                self.layers, "transform", spec.transforms, sources, ("transforms",)
            ),
            "image": spec.image,
            "augmentation": spec.augmentation,
            "weight": spec.weight,
            "head": spec.head,
        }
        return validate(Task, values, sources)

    # -- stages ----------------------------------------------------------------------------

    def of_stage(self, name: str, labels: Labels, below: tuple[str, ...]) -> Family:
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
            tasks = self._stage_tasks(stage, source, given)
            images = any(self.layers.modality(t.dataset) == "images" for t in tasks.values())
            inherited = {k: v for k, v in self.layers.recipe.items() if k not in _OF_CHILDREN}
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
                given, stage.weights, tasks, self._shared(recipe), method, {**labels, **given}
            )
        return self._stages[key]

    def _stage_tasks(self, stage: Stage, source: Source, given: Labels) -> dict[str, Task]:
        own = (stage.task, source.at("task"))
        if not stage.tasks:
            return {"": self._task("", {}, given, (), (), own)}
        return {
            name: self._task(
                "", {}, given, (), (), (merge(stage.task, raw), source.at("tasks", name))
            )
            for name, raw in sorted(stage.tasks.items())
        }

    # -- measurements ----------------------------------------------------------------------

    def _measuring(self, place: Labels, whens: tuple[When, ...], dotted: Dotted) -> Family:
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
        roles = roles_in(part.roles, spec.roles)
        if roles is None:
            where = next((s for s in reversed(sources) if s.has(("roles",))), sources[0])
            raise where.error(
                f"{use.name} measures {described(part.roles)}, "
                f"not {', '.join(spec.roles) or 'none'}",
                ("roles",),
                "give each of its roles a stage, or weights; numbers go from 1 on without a gap",
            )
        starts, stages = {}, {}
        for name, role in ((name, spec.roles[name]) for name in roles):
            loc = ("measure", "roles", name)
            if part.reads == PREDICTIONS and (role.weights or "").startswith(FILE):
                # A file of predictions, of whatever network.
                starts[name] = Start("", str(role.weights))
                continue
            starts[name], found = self._role(role, place, loc)
            if part.reads == PREDICTIONS and (found is None or role.checkpoint != "reported"):
                raise self.layers.source_of(*loc).error(
                    f"{use.name} reads predictions, which a stage leaves of the state it reports",
                    loc,
                    "use stage: NAME, without checkpoint, or weights: file:NAME",
                )
            if found is not None:
                stage, state, labels = found
                stages[name] = (stage, PREDICTIONS if part.reads == PREDICTIONS else state, labels)
        task = None
        own_file = START in starts and starts[START].weights.startswith(FILE)
        # What a file's weights were trained on is for the suite's task to say.
        if part.data == "source" and not own_file:
            start = stages.get(START)
            origin, labels = (start[0], start[2]) if start else (None, place)
            task = self._source_task(origin, labels, use.name, ("measure", "roles"))
        elif part.data != "none":
            task = self._task("", {}, place, whens, dotted)
            if self.layers.modality(task.dataset) == "images" and task.image is None:
                recipe = resolve_recipe(self.layers, self._recipe_overlays(whens), dotted)
                task = task.model_copy(update={"image": recipe.image})
        return Family(place, self.same(Measure(use, starts, task)), stages)

    def _role(
        self, role: Role, place: Labels, loc: tuple[str, ...]
    ) -> tuple[Start, tuple[str, str, Labels] | None]:
        axes = ("backbone", "dataset", "sampling_rate", "method")
        own = {axis: getattr(role, axis) for axis in axes if getattr(role, axis) is not None}
        labels: Labels = {**place, **own}
        if role.stage is not None:
            family = self.of_stage(role.stage, labels, ())
            assert isinstance(family.work, Train)
            if role.seed is not None:
                labels = {**labels, SEED: role.seed}
            elif role.seed_plus:
                labels = {**labels, SEED_PLUS: role.seed_plus}
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
        return Start(self.network(str(labels["backbone"])), weights), None
