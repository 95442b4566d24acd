"""Whether a training may compute its frozen backbone's features once, and not at every step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from bench.spec.metrics import FindPart
from bench.spec.parts import SOURCE_MAPS
from bench.spec.work import Train


class Obstacle(NamedTuple):
    """Why a row has not one and the same features at every step, and what would help."""

    problem: str
    remedy: str


def obstacle(work: Train, find: FindPart) -> Obstacle | None:
    """Return what stands against ``frozen_features: computed-once`` where a training asks for it.

    Parameters
    ----------
    find
        Kind and name to what is declared of a part.
    """
    if work.recipe.frozen_features == "every-step":
        return None
    return next((Obstacle(*each) for each in _obstacles(work, find)), None)


def _obstacles(work: Train, find: FindPart) -> Iterator[tuple[str, str]]:
    recipe, trainable = work.recipe, work.trainable
    if trainable.name != "head" or trainable.settings.get("statistics", "frozen") != "frozen":
        yield "more than the head trains", "use trainable: head, with statistics: frozen"
    if work.warmup is not None:
        yield "the backbone trains after the warm-up", "leave warmup out"
    for task in work.tasks.values():
        image, augmentation = task.image or recipe.image, task.augmentation or recipe.augmentation
        if image and augmentation and (augmentation.crop != "centre" or augmentation.flip):
            yield (
                f"the augmentation of {task.dataset} is random",
                "use augmentation: {crop: centre, flip: false}",
            )
        if find("objective", task.objective.name).views != 1:
            yield f"{task.objective.name} mixes inputs", "use objective: classification"
        for use in task.transforms:
            if find("transform", use.name).random:
                yield f"the transform {use.name} is random", "leave it out"
    for use in work.penalties:
        if SOURCE_MAPS in find("penalty", use.name).needs:
            yield f"the penalty {use.name} looks at inner maps", "leave it out"
    if recipe.evaluation.crops != 1:
        yield f"evaluation takes {recipe.evaluation.crops} crops", "use evaluation.crops: 1"
    if recipe.forgetting:
        yield "forgetting scores the source's own images", "use forgetting: false"
