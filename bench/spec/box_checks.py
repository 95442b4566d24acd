"""What can be known wrong about tasks on boxes, before anything runs."""

from __future__ import annotations

from bench.spec.catalogue import entry
from bench.spec.layers import Layers
from bench.spec.loader import Key
from bench.spec.work import Task, Train

# What learns such targets.
_OBJECTIVES = {"classes": "classification", "numbers": "regression", "boxes": "boxes"}


def check_boxes(layers: Layers, work: Train) -> None:
    """Check that objectives and targets meet, and that nothing moves boxes.

    Inputs are cut and mirrored, targets are not: after a crop or a flip they would be wrong.

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
        boxes = targets == "boxes"
        asked = layers.part("objective", task.objective.name).targets
        if (asked == "boxes") > boxes or (asked == "classes") > (targets == "classes"):
            raise layers.source_of("task", "objective").error(
                f"the objective {task.objective.name} is of {asked}, and the targets of "
                f"{task.dataset} are {targets}",
                ("task", "objective"),
                f"use objective: {_OBJECTIVES[targets]}",
            )
        if boxes:
            _check_unmoved(layers, work, task)


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
    found += [
        (crops != 1, ("evaluation", "crops"), f"crops: {crops}", "crops: 1"),
        (recipe.batches == "balanced", ("batches",), "balanced batches", "batches: shuffled"),
    ]
    for wrong, path, said, remedy in found:
        if wrong:
            why = "need classes" if path == ("batches",) else "would move them"
            raise layers.source_of("recipe", *path).error(
                f"the targets of {task.dataset} are boxes, and {said} {why}",
                ("recipe", *path),
                f"use {remedy}",
            )
    if task.long_tail is not None:
        raise layers.source_of("task", "long_tail").error(
            f"the targets of {task.dataset} are boxes, and a long tail is one of classes",
            ("task", "long_tail"),
            "leave long_tail out",
        )
