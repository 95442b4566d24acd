"""A task that is trained on some classes: their rows, outputs for all, and the whole test split."""

from __future__ import annotations

import numpy as np
import pytest

from bench.errors import DataError
from bench.training.execute import execute
from bench.training.task_data import load_task
from tests.training.conftest import CLASSES, RECIPE, Build, task

HELD_OUT = RECIPE.model_copy(update={"validation": 0.2})


def test_only_their_rows_are_trained_on_and_held_out(resources):
    whole = load_task(task(), 0, resources, recipe=HELD_OUT)
    some = load_task(task(train_classes=(1, 3)), 0, resources, recipe=HELD_OUT)
    labels = np.asarray(whole.prepared.train.targets)
    for mine, all_rows in ((some.train, whole.train), (some.validation, whole.validation)):
        assert mine.tolist() == [row for row in all_rows.tolist() if labels[row] >= 1]
    assert some.width == CLASSES
    assert set(np.asarray(some.prepared.test.targets).tolist()) == set(range(CLASSES))


def test_a_network_that_knows_one_class_alone_is_scored_on_all(job: Build):
    done = execute(job(tasks={"": task(train_classes=(1, 2))}))
    # After the first steps it says that class of every image.
    assert done.metrics["test/top1"] == pytest.approx(1 / CLASSES)


def test_classes_that_a_users_own_data_have_not_are_an_error(job: Build):
    with pytest.raises(DataError, match="noise has 3 classes, and those from 2 up to 4"):
        execute(job(tasks={"": task(train_classes=(2, 4))}))
