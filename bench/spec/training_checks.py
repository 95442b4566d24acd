"""What can be known wrong about how cells train, before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from bench.errors import did_you_mean
from bench.spec.catalogue import entry
from bench.spec.cell import START, Cell, PlannedCell
from bench.spec.class_checks import check_train_classes, trained_classes
from bench.spec.frozen_features import obstacle
from bench.spec.layers import Layers
from bench.spec.metrics import PERCENT, prefix_of
from bench.spec.target_checks import check_targets
from bench.spec.token_checks import check_tokens
from bench.spec.work import Measure, Task, Train, Work, network_name


def check_training(layers: Layers, cells: Iterable[PlannedCell]) -> None:
    """Check warm-ups, forgetting, heads, terms, tasks, classes, batches, targets; of stages too.

    Raises
    ------
    SpecError
        For the first cell whose method or batches ask for what its recipe does not have.
    """
    by_id = {planned.cell.id: planned.cell for planned in cells}
    for work, source in _with_source(by_id):
        check_train_classes(layers, work)
        _check_heads(layers, work)
        if isinstance(work, Measure):
            _check_scores(layers, work)
        if isinstance(work, Train):
            _check_kept_heads(layers, work, source)
            _check_terms(layers, work)
            _check_warmup(layers, work)
            _check_start(layers, work)
            _check_batches(layers, work)
            _check_tasks(layers, work)
            check_tokens(layers, work)
            _check_precision(layers, work)
            _check_frozen_features(layers, work)
            check_targets(layers, work)


def _with_source(by_id: Mapping[str, Cell]) -> Iterator[tuple[Work, Work | None]]:
    """Yield each work with that of the stage it starts from, each pair once."""
    seen = set()
    for cell in by_id.values():
        source = by_id[cell.parents[START].id].work if START in cell.parents else None
        key = (id(cell.work), id(source))
        if key not in seen:
            seen.add(key)
            yield cell.work, source


def _check_scores(layers: Layers, work: Measure) -> None:
    """Raise if scores that a measurement shows as percent are none, or better where lower."""
    part = layers.part("measurement", work.kind)
    scores = work.measurement.settings.get("scores")
    if work.task is None or not isinstance(scores, Mapping):
        return
    if not any("{scores}" in name and unit == PERCENT for name, (unit, _) in part.metrics.items()):
        return
    use = work.task.objective
    known = layers.part("objective", use.name).metrics_with(use.settings)
    fit = [name for name, declared in known.items() if declared == (PERCENT, "highest")]
    for name in scores.values():
        if name in known and name not in fit:
            raise layers.source_of("measure", "part").error(
                f"{work.kind} shows percentages, of which higher are better, and {name} is none",
                ("measure", "part"),
                f"use one of {', '.join(sorted(fit))}",
            )


def _check_warmup(layers: Layers, work: Train) -> None:
    if work.warmup is None:
        return
    if work.recipe.validation == 0:
        raise layers.source_of("recipe", "validation").error(
            "a warm-up ends by the validation accuracy, and nothing is held out",
            ("recipe", "validation"),
            "set recipe.validation, such as 0.05",
        )
    if work.trainable.name == "head":
        raise layers.source_of("methods").error(
            "a warm-up before training the head alone changes nothing",
            ("methods",),
            "leave warmup out, or train all",
        )


def _check_start(layers: Layers, work: Train) -> None:
    recipe = work.recipe
    if recipe.forgetting and work.weights != "stage":
        datasets = ", ".join(task.dataset for task in work.tasks.values())
        raise layers.source_of("recipe", "forgetting").error(
            "forgetting is measured on the task of the stage that a cell starts from, and "
            f"a cell of {datasets} starts from weights {work.weights!r}",
            ("recipe", "forgetting"),
            "use weights: stage:NAME; in a stage's own recipe, set forgetting: false",
        )
    headless = work.weights.partition("@")[0] in ("random", "timm") or work.weights[:3] == "hf:"
    if recipe.head == "kept" and headless:
        raise layers.source_of("recipe", "head").error(
            f"weights {work.weights!r} have no head to keep",
            ("recipe", "head"),
            "use weights: stage:NAME or shipped:NAME, or head: new",
        )


def _check_kept_heads(layers: Layers, work: Train, source: Work | None) -> None:
    """Outputs of as many numbers mean the same only where the same was asked of them."""
    if work.recipe.head != "kept" or source is None:
        return
    for name, task in work.tasks.items():
        before = source.tasks.get(name)
        if before is None or task.head is not None:
            continue
        mine, theirs = network_name(task.objective), network_name(before.objective)
        if mine != theirs:
            of = f" of the task {name}" if name else ""
            raise layers.source_of("recipe", "head").error(
                f"the head{of} is of a stage that was trained for {theirs}, and is to serve {mine}",
                ("recipe", "head"),
                "use head: new, or give both the same objective",
            )


def _check_terms(layers: Layers, work: Train) -> None:
    """The terms of a loss, and their curves, are told apart by their names."""
    penalties = {use.name for use in work.penalties}
    for name, task in work.tasks.items():
        objective = layers.part("objective", task.objective.name)
        term = f"{prefix_of(name)}{objective.term}"
        if term in penalties:
            raise layers.source_of("methods").error(
                f"the penalty {term} has the name of the loss of the objective {objective.name}: "
                f"its term is {objective.term!r}",
                ("methods",),
                "give one of the two another name",
            )


def _check_batches(layers: Layers, work: Train) -> None:
    if work.recipe.batches != "balanced":
        return
    for task in work.tasks.values():
        known = trained_classes(layers, task)
        if known is not None and work.recipe.batch_size % known[0]:
            raise layers.source_of("recipe", "batch_size").error(
                f"balanced batches of {work.recipe.batch_size} images cannot hold equally many of "
                f"the {known[0]} classes of {task.dataset}",
                ("recipe", "batch_size"),
                f"use a multiple of {known[0]}, or batches: shuffled",
            )


def _check_tasks(layers: Layers, work: Train) -> None:
    modalities = {layers.modality(task.dataset) for task in work.tasks.values()}
    if len(modalities) > 1:
        raise layers.source_of("tasks").error(
            f"one network cannot take {' and '.join(sorted(modalities))}", ("tasks",)
        )
    if work.weights.startswith("timm") and modalities != {"images"}:
        raise layers.source_of("axes", "weights").error(
            "timm's weights are of images", ("axes", "weights"), "use weights: random"
        )
    if isinstance(work.network, str) and modalities != {"images"}:
        raise layers.source_of("axes", "backbone").error(
            f"timm's networks take images, not {' and '.join(sorted(modalities))}",
            ("axes", "backbone"),
            "use a network part, such as mlp",
        )
    if work.weights.startswith("hf:") and isinstance(work.network, str):
        raise layers.source_of("axes", "weights").error(
            f"weights {work.weights!r} are of a network part, and {work.network} is timm's",
            ("axes", "weights"),
            "use weights: timm",
        )
    sizes = {
        image.size for task in work.tasks.values() if (image := task.image or work.recipe.image)
    }
    if not isinstance(work.network, str) and len(sizes) > 1:
        raise layers.source_of("tasks").error(
            f"{work.network.name} is built for inputs of one shape, and the tasks' images have "
            f"{' and '.join(map(str, sorted(sizes)))} pixels",
            ("tasks",),
        )
    _check_choice_between_states(layers, work)


def _check_heads(layers: Layers, work: Work) -> None:
    """A task may use the head of another one that has its own, for outputs of one meaning."""
    for name, task in work.tasks.items():
        if task.head is None:
            continue
        loc = ("tasks", name, "head") if name else ("task", "head")
        where = layers.source_of(*loc)
        owner = work.tasks.get(task.head)
        others = [n for n, other in work.tasks.items() if n != name and other.head is None]
        if owner is None or task.head == name:
            what = "this task itself" if owner is not None else f"{task.head!r}, which is no task"
            raise where.error(
                f"names {what}", loc, did_you_mean(task.head, others) if others else "leave it out"
            )
        if owner.head is not None:
            raise where.error(
                f"names {task.head}, which uses the head of {owner.head} itself",
                loc,
                f"name {owner.head}",
            )
        mine, theirs = network_name(task.objective), network_name(owner.objective)
        if mine == theirs:
            # The number of classes, where it is known before data are read.
            known = [(t.dataset, _classes(layers, t)) for t in (task, owner)]
            if len({classes for _, classes in known if classes}) < 2:
                continue
            mine, theirs = (f"the {classes} classes of {dataset}" for dataset, classes in known)
        raise where.error(f"a head for {theirs} cannot serve {mine}", loc, "leave head out")


def _classes(layers: Layers, task: Task) -> int | None:
    return None if task.dataset in layers.resources.datasets else entry(task.dataset).classes


def _check_choice_between_states(layers: Layers, work: Train) -> None:
    """States are chosen by the mean of the tasks' scores, which must be of one kind."""
    recipe = work.recipe
    objectives = [layers.part("objective", t.objective.name) for t in work.tasks.values()]
    scores = {(o.score, *o.metrics[o.score]) for o in objectives}
    chosen = recipe.selection != "last" or recipe.anytime is not None or work.warmup is not None
    if chosen and len(scores) > 1:
        raise layers.source_of("recipe", "selection").error(
            "states are chosen by the mean of the tasks' scores, and these are "
            f"{' and '.join(sorted(score for score, *_ in scores))}",
            ("recipe", "selection"),
            "use selection: last without anytime and warm-up, or objectives of one score",
        )


def _check_precision(layers: Layers, work: Train) -> None:
    # Its gradients are scaled until the optimizer's step, which another update would not know.
    if work.recipe.precision == "float16" and work.update.name != "gradient":
        raise layers.source_of("recipe", "precision").error(
            f"float16 scales the gradients that the update {work.update.name} works on",
            ("recipe", "precision"),
            "use bfloat16 or float32",
        )


def _check_frozen_features(layers: Layers, work: Train) -> None:
    found = obstacle(work, layers.part)
    if found is not None:
        raise layers.source_of("recipe", "frozen_features").error(
            f"the features of a row are not one and the same at every step: {found.problem}",
            ("recipe", "frozen_features"),
            f"{found.remedy}, or frozen_features: every-step",
        )
