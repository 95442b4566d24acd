"""What can be known wrong about the classes that a task trains on, before anything runs."""

from __future__ import annotations

from bench.spec.catalogue import entry
from bench.spec.layers import Layers
from bench.spec.work import Task, Work


def check_train_classes(layers: Layers, work: Work) -> None:
    """Check that there are the classes that a task says it is trained on.

    Raises
    ------
    SpecError
        For the first task whose objective knows no classes, or whose data have fewer.
    """
    for name, task in work.tasks.items():
        if task.train_classes is not None:
            _check(layers, name, task)


def _check(layers: Layers, name: str, task: Task) -> None:
    loc = ("tasks", name, "train_classes") if name else ("task", "train_classes")
    where = layers.source_of(*loc)
    assert task.train_classes is not None
    first, stop = task.train_classes
    asked = layers.part("objective", task.objective.name).targets
    if asked != "classes":
        raise where.error(
            f"the objective {task.objective.name} is of {asked}, which have no classes",
            loc,
            "leave train_classes out",
        )
    known = trained_classes(layers, task)
    if known is not None and stop > known[1]:
        raise where.error(
            f"{task.dataset} has {known[1]} classes, and those from {first} up to {stop} are to "
            "be trained on",
            loc,
            f"end at {known[1]} or before",
        )


def trained_classes(layers: Layers, task: Task) -> tuple[int, int] | None:
    """Return how many classes a task trains on and its data have; None where it is not known.

    How many a user's own data have is known when they are read.
    """
    classes = None if task.dataset in layers.resources.datasets else entry(task.dataset).classes
    if classes is None:
        return None
    first, stop = task.train_classes or (0, classes)
    return stop - first, classes
