"""What can be known wrong about tasks whose targets are no classes, before anything runs."""

from __future__ import annotations

from bench.spec.catalogue import entry
from bench.spec.layers import Layers
from bench.spec.loader import Key
from bench.spec.work import Task, Train

# What learns such targets.
_OBJECTIVES = {
    "classes": "classification",
    "numbers": "regression",
    "labels": "multi-label",
    "boxes": "boxes",
    "trajectories": "trajectories",
}
# Targets that are for an objective of their own.
_OWN = ("labels", "boxes", "trajectories")


def check_targets(layers: Layers, work: Train) -> None:
    """Check that objectives and datasets meet, and that nothing needs classes or moves boxes.

    Inputs are cut and mirrored, targets are not: after a crop or a flip boxes would be wrong.

    Raises
    ------
    SpecError
        For the first task whose targets would not be what its objective takes them for.
    """
    for task in work.tasks.values():
        if task.dataset in layers.resources.datasets:
            # What a user's own targets are is known when they are read.
            continue
        targets = entry(task.dataset).targets
        _check_objective(layers, task, targets)
        if targets == "boxes":
            _check_unmoved(layers, work, task)
        if targets != "classes":
            _check_no_classes(layers, work, task, targets)


def _check_objective(layers: Layers, task: Task, targets: str) -> None:
    asked = layers.part("objective", task.objective.name).targets
    if asked != targets and (asked in _OWN or asked == "classes"):
        raise layers.source_of("task", "objective").error(
            f"the objective {task.objective.name} is of {asked}, and the targets of "
            f"{task.dataset} are {targets}",
            ("task", "objective"),
            f"use objective: {_OBJECTIVES[targets]}",
        )


def _check_unmoved(layers: Layers, work: Train, task: Task) -> None:
    recipe = work.recipe
    image, augmentation = task.image or recipe.image, task.augmentation or recipe.augmentation
    found: list[tuple[bool, tuple[Key, ...], str, str]] = []
    if augmentation is not None:
        crop = augmentation.crop
        found = [
            (crop != "centre", ("augmentation", "crop"), f"crop: {crop}", "crop: centre"),
            (augmentation.flip, ("augmentation", "flip"), "flip: true", "flip: false"),
        ]
    if image is not None:
        sizes = f"size {image.size} of resize {image.resize}"
        cut = image.size != image.resize
        found.append((cut, ("image", "size"), sizes, f"size: {image.resize}"))
    crops = recipe.evaluation.crops
    found.append((crops != 1, ("evaluation", "crops"), f"crops: {crops}", "crops: 1"))
    for wrong, path, said, remedy in found:
        if wrong:
            raise layers.source_of("recipe", *path).error(
                f"the targets of {task.dataset} are boxes, and {said} would move them",
                ("recipe", *path),
                f"use {remedy}",
            )


def _check_no_classes(layers: Layers, work: Train, task: Task, targets: str) -> None:
    if work.recipe.batches == "balanced":
        raise layers.source_of("recipe", "batches").error(
            f"the targets of {task.dataset} are {targets}, and balanced batches need classes",
            ("recipe", "batches"),
            "use batches: shuffled",
        )
    if task.long_tail is not None:
        raise layers.source_of("task", "long_tail").error(
            f"the targets of {task.dataset} are {targets}, and a long tail is one of classes",
            ("task", "long_tail"),
            "leave long_tail out",
        )
