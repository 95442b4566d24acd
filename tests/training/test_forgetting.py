from __future__ import annotations

import statistics
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from bench.data.prepare import prepare
from bench.errors import WeightsError
from bench.models.checkpoint import read_tensors
from bench.models.network import Network
from bench.models.weights import create_backbone
from bench.parts.objectives.classification import Classification
from bench.scheduling.job import ParentArtifact
from bench.spec.cell import START, Resources
from bench.spec.recipe import SGD, Anytime, Image, Optimizer, Recipe, Warmup
from bench.training.execute import execute
from bench.training.forgetting import Source
from bench.training.task_data import load_task
from tests.training.conftest import CLASSES, IMAGE, RECIPE, STRIPES, Build, left, task, use

STILL = Optimizer(sgd=SGD(lr=0.1, backbone_lr=0.0))
FAST = {"head_bias": False, "head_init": use("zeros")}


def _adapting(**changes: Any) -> Recipe:
    base = RECIPE.model_dump() | FAST | {"steps": 5, "validation": 0.3, "forgetting": True}
    return Recipe.model_validate(base | {"anytime": Anytime()} | changes)


@pytest.fixture
def parent(job: Build) -> ParentArtifact:
    made = job(RECIPE.model_copy(update={"steps": 12}), keep={"checkpoint"})
    return left(made, execute(made))


def test_features_that_stand_still_forget_nothing(
    job: Build, parent: ParentArtifact, resources: Resources
) -> None:
    # Frozen, statistics included: the source's accuracy is what its own record says.
    adapted = job(
        _adapting(optimizer=STILL), weights="stage", parents={START: parent}, trainable="head",
    )  # fmt: skip
    outcome = execute(adapted)
    theirs = _source_by_hand(resources, parent, parent.path)
    assert outcome.metrics["source/top1"] == theirs
    assert set(outcome.curves["anytime/source/top1"].value) == {theirs}
    assert outcome.metrics["source/forgotten"] == 0
    assert outcome.metrics["features/distance"] == 0


def test_with_no_step_the_network_is_scored_as_it_came(
    job: Build, parent: ParentArtifact, resources: Resources
) -> None:
    outcome = execute(
        job(_adapting(steps=0, anytime=None), weights="stage", parents={START: parent})
    )
    assert outcome.metrics["source/top1"] == _source_by_hand(resources, parent, parent.path)
    assert outcome.metrics["source/forgotten"] == 0
    assert outcome.metrics["train/gradients"] == 0
    assert not outcome.curves


def test_it_is_the_sources_test_split_through_the_adapted_features_and_the_sources_head(
    job: Build, parent: ParentArtifact, resources: Resources
) -> None:
    image = Image(resize=44, size=40, normalise="imagenet")
    recipe = _adapting(optimizer=Optimizer(sgd=SGD(lr=0.3)), anytime=None, image=image)
    adapted = job(
        recipe, weights="stage", parents={START: parent}, keep={"checkpoint"},
        tasks={"": task("stripes")},
    )  # fmt: skip
    outcome = execute(adapted)
    lost = _source_by_hand(resources, parent, parent.path) - outcome.metrics["source/top1"]
    assert outcome.metrics["source/forgotten"] == lost
    data = outcome.provenance.data
    assert data["classes"] == STRIPES
    assert data["sources"] == {"noise": prepare("noise", IMAGE, resources).digest}
    checkpoint = adapted.folder / outcome.artifacts["checkpoint"].file
    assert outcome.metrics["features/distance"] > 0
    assert outcome.metrics["source/top1"] == _source_by_hand(resources, parent, checkpoint)


def _source_by_hand(resources: Resources, parent: ParentArtifact, features: Path) -> float:
    """Return the accuracy of one file's backbone under the parent's head, without the loop."""
    backbone, head = read_tensors(features)[0], read_tensors(parent.path)[0]
    network = Network(create_backbone("test_resnet"), {"": CLASSES}, name="test_resnet").eval()
    network.backbone.load_state_dict(
        {n.removeprefix("backbone."): t for n, t in backbone.items() if n.startswith("backbone.")}
    )
    test = prepare("noise", Image(**IMAGE.model_dump()), resources).test
    pixels = torch.from_numpy(np.ascontiguousarray(test.inputs[:, 2:34, 2:34])).permute(0, 3, 1, 2)
    with torch.no_grad():
        a = network((pixels.float() / 255 - 0.5) / 0.5).features
        predicted = (a @ head["head.weight"].T + head["head.bias"]).argmax(1)
    return float((predicted.numpy() == test.targets).mean())


def test_a_cell_that_starts_from_none_is_refused(job: Build) -> None:
    with pytest.raises(WeightsError, match="starts from none"):
        execute(job(recipe=_adapting()))


def test_a_warmup_tells_when_it_ended_and_what_the_switch_cost(
    job: Build, parent: ParentArtifact
) -> None:
    recipe = _adapting(steps=9, optimizer=Optimizer(sgd=SGD(lr=0.05)), forgetting=False)
    warmup = Warmup(patience=3, gain=0.9)
    outcome = execute(job(recipe, warmup=warmup, weights="stage", parents={START: parent}))
    validation = outcome.curves["validation/top1"]
    scores = dict(zip(validation.at, validation.value, strict=True))
    switch = int(outcome.metrics["warmup/steps"])
    assert 3 <= switch < 9
    after = [scores[s] for s in scores if switch < s <= switch + 3]
    assert outcome.metrics["warmup/drop"] == pytest.approx(scores[switch] - statistics.fmean(after))
    assert outcome.metrics["warmup/ended"] == 1


def test_the_stage_and_its_children_can_hold_out_the_same_images(resources: Resources) -> None:
    # Else a child at another seed would be validated on images its source was trained on.
    splits = []
    for seed in (0, 1, 2):
        recipe = RECIPE.model_copy(update={"validation": 0.3, "validation_seed": 0})
        data = load_task(task(), seed, resources, recipe=recipe)
        splits.append((set(data.train.tolist()), set(data.validation.tolist())))
        assert not splits[0][0] & splits[-1][1]
        assert splits[-1] == splits[0]
    recipe = RECIPE.model_copy(update={"validation": 0.3})
    other = load_task(task(), 1, resources, recipe=recipe)
    assert splits[0][0] & set(other.validation.tolist())


def test_nothing_is_forgotten_where_the_features_do_as_well_as_before() -> None:
    """Both scores are of one test split; what training does to the features is noise here.

    Of 400 tables of 15 seeds, the one-sided t test at 2.5% finds forgetting in about ten, and three
    standard errors more are 19.
    """
    source = Source.__new__(Source)
    source._name = "source"
    source._data = {"": SimpleNamespace(objective=Classification())}  # type: ignore[dict-item]
    draw = np.random.default_rng(2)
    before, noise = draw.normal(0.76, 0.01, 6000), draw.normal(0, 0.01, 6000)

    def found(loss: float) -> int:
        forgotten = [
            source.forgotten({"source/top1": b}, {"source/top1": b + n - loss})["source/forgotten"]
            for b, n in zip(before, noise, strict=True)
        ]
        tables = np.array(forgotten).reshape(400, 15)
        test = stats.ttest_1samp(tables, 0, axis=1, alternative="greater")
        return int((test.pvalue < 0.025).sum())

    assert found(0.0) <= 19
    assert found(0.02) > 390
