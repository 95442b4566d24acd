"""MixUp in a training: drawn from the step's stream, of images alone."""

from __future__ import annotations

import pytest

from bench.errors import UserError
from bench.spec.recipe import Augmentation
from bench.training.execute import execute
from tests.training.conftest import RECIPE, Build, task

MIXED = {"": task(objective="mixup-classification")}


def test_a_training_repeats_and_its_methods_share_what_is_drawn(job: Build) -> None:
    first = execute(job(tasks=MIXED)).curves["train/mixed_cross_entropy"]
    # A penalty draws nothing, and its weight of zero changes nothing.
    again = execute(job(penalties={"l2": {"weight": 0.0}}, tasks=MIXED))
    assert again.curves["train/mixed_cross_entropy"] == first
    assert execute(job()).curves["train/cross_entropy"].value != first.value


def test_features_that_are_computed_once_are_not_mixed(job: Build) -> None:
    once = RECIPE.model_copy(
        update={
            "frozen_features": "computed-once",
            "augmentation": Augmentation(crop="centre", flip=False),
        }
    )
    with pytest.raises(UserError, match="mixup-classification makes its own inputs"):
        execute(job(once, tasks=MIXED, trainable="head"))
