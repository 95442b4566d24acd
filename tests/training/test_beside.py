"""What an objective trains beside the head: by the head's rate, and kept where the head is."""

from __future__ import annotations

import torch
from safetensors.torch import load_file

from bench.spec.cell import CHECKPOINT, START
from bench.spec.recipe import Augmentation
from bench.training.execute import execute
from bench.training.task_data import load_task
from tests.training.conftest import RECIPE, Build, left, task, use

MIXED = {"": task().model_copy(update={"objective": use("glmc", projection=4)})}
ALONE = "beside.."
CPU = torch.device("cpu")


def beside(file):
    return {n: t for n, t in load_file(file).items() if n.startswith(ALONE)}


def test_a_stage_leaves_it_to_children_that_keep_its_head(job: Build):
    stage = job(RECIPE, tasks=MIXED, keep=[f"{CHECKPOINT}@start", CHECKPOINT])
    done = execute(stage)
    parent = left(stage, done)
    first, last = (
        beside(stage.folder / done.artifacts[name].file)
        for name in (f"{CHECKPOINT}@start", CHECKPOINT)
    )
    assert {n.removeprefix(ALONE).split(".")[0] for n in last} == {
        "plain", "projector", "predictor",
    }  # fmt: skip
    assert all(not first[name].equal(last[name]) for name in last if name.endswith("weight"))
    # Not of the backbone: as far as the head goes, and it is counted.
    assert done.metrics["parameters/trained"] > done.metrics["parameters/private"] > 0
    for head, same in (("kept", True), ("new", False)):
        recipe = RECIPE.model_copy(update={"head": head})
        child = job(
            recipe, tasks=MIXED, weights="stage", parents={START: parent},
            keep=[f"{CHECKPOINT}@start"],
        )  # fmt: skip
        began = beside(child.folder / execute(child).artifacts[f"{CHECKPOINT}@start"].file)
        weights = [name for name in began if name.endswith("weight")]
        assert all(began[name].equal(last[name]) == same for name in weights)


def test_the_first_view_is_what_a_single_one_would_be(resources):
    recipe = RECIPE.model_copy(update={"augmentation": Augmentation()})
    two, one = (
        load_task(given[""], 0, resources, recipe=recipe).training_batches(recipe, CPU).batch(3)
        for given in (MIXED, {"": task()})
    )
    assert two[1].equal(one[1])
    assert two[0].shape == (2, *one[0].shape)
    assert two[0][0].equal(one[0])
    assert not two[0][1].equal(one[0])
