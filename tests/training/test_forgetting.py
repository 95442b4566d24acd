from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PIL

from bench.data.prepare import prepare
from bench.errors import WeightsError
from bench.models.checkpoint import read_tensors
from bench.models.network import Network
from bench.models.weights import create_backbone
from bench.scheduling.job import Job, ParentArtifact
from bench.spec.cell import Method, Resources
from bench.spec.recipe import SGD, Anytime, HeadInit, Image, Optimizer, Recipe, Warmup, Zeros
from bench.training.cell_data import load_data
from bench.training.execute import execute
from tests.training.conftest import CLASSES, IMAGE, RECIPE

Build = Callable[..., Job]
STILL = Optimizer(sgd=SGD(lr=0.1, backbone_lr=0.0))
FAST = {"head_bias": False, "head_init": HeadInit(zeros=Zeros())}


def _adapting(**changes: Any) -> Recipe:
    base = RECIPE.model_dump() | FAST | {"steps": 5, "validation": 0.3, "forgetting": True}
    return Recipe.model_validate(base | {"anytime": Anytime()} | changes)


@pytest.fixture
def parent(job: Build, tmp_path: Path) -> ParentArtifact:
    made = job(recipe=RECIPE.model_copy(update={"steps": 12}), keep_checkpoint=True)
    outcome = execute(made)
    artifact = outcome.artifacts["checkpoint"]
    return ParentArtifact(made.cell, 1, made.folder / artifact.file, artifact.sha256)


def test_features_that_stand_still_forget_nothing(job: Build, parent: ParentArtifact) -> None:
    # Frozen, statistics included: the source's accuracy is what its own record says.
    adapted = job(
        recipe=_adapting(optimizer=STILL), weights="stage", parents={"weights": parent},
        method=Method(trainable="head"),
    )  # fmt: skip
    outcome = execute(adapted)
    theirs = _source_by_hand(job, parent, parent.path)
    assert outcome.metrics["source/top1"] == theirs
    assert set(outcome.curves["anytime/source/top1"].value) == {theirs}
    assert outcome.metrics["source/forgotten"] == 0
    assert outcome.metrics["features/distance"] == 0


@pytest.fixture
def stripes(tmp_path: Path) -> Path:
    """Return a folder of another task: two classes, other sizes."""
    for split, count in (("train", 8), ("test", 3)):
        for label in range(2):
            folder = tmp_path / "stripes" / split / f"class{label}"
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = np.zeros((50, 44, 3), dtype=np.uint8)
                pixels[:: label + 2, i::3] = 255
                PIL.fromarray(pixels).save(folder / f"{i}.png")
    return tmp_path / "stripes"


def test_it_is_the_sources_test_split_through_the_adapted_features_and_the_sources_head(
    job: Build, parent: ParentArtifact, stripes: Path
) -> None:
    image = Image(resize=44, size=40, normalise="imagenet")
    recipe = _adapting(optimizer=Optimizer(sgd=SGD(lr=0.3)), anytime=None, image=image)
    adapted = job(recipe=recipe, weights="stage", parents={"weights": parent}, keep_checkpoint=True)
    # Both cells of this test share a folder.
    kept = parent.path.with_name("source.safetensors")
    kept.write_bytes(parent.path.read_bytes())
    parent = ParentArtifact(parent.cell, 1, kept, parent.sha256)
    cell = dataclasses.replace(adapted.cell, dataset="stripes")
    folders = adapted.resources.folders | {"stripes": str(stripes)}
    adapted = dataclasses.replace(
        adapted, cell=cell, parents={"weights": parent}, resources=Resources(folders=folders)
    )
    outcome = execute(adapted)
    lost = _source_by_hand(job, parent, parent.path) - outcome.metrics["source/top1"]
    assert outcome.metrics["source/forgotten"] == lost
    data = outcome.provenance.data
    assert data["classes"] == 2
    assert data["source"] == "noise"
    assert data["source_dataset"] == prepare("noise", IMAGE, adapted.resources).digest
    checkpoint = adapted.folder / outcome.artifacts["checkpoint"].file
    assert outcome.metrics["features/distance"] > 0
    assert outcome.metrics["source/top1"] == _source_by_hand(job, parent, checkpoint)


def _source_by_hand(job: Build, parent: ParentArtifact, features: Path) -> float:
    """Return the accuracy of one file's backbone under the parent's head, without the loop."""
    backbone, head = read_tensors(features)[0], read_tensors(parent.path)[0]
    network = Network(create_backbone("test_resnet"), CLASSES, name="test_resnet").eval()
    network.backbone.load_state_dict(
        {n.removeprefix("backbone."): t for n, t in backbone.items() if n.startswith("backbone.")}
    )
    test = prepare("noise", Image(**IMAGE.model_dump()), job().resources).test
    pixels = torch.from_numpy(np.ascontiguousarray(test.images[:, 2:34, 2:34])).permute(0, 3, 1, 2)
    with torch.no_grad():
        a = network((pixels.float() / 255 - 0.5) / 0.5).features
        predicted = (a @ head["head.weight"].T + head["head.bias"]).argmax(1)
    return float((predicted.numpy() == test.labels).mean())


def test_a_cell_that_starts_from_none_is_refused(job: Build) -> None:
    with pytest.raises(WeightsError, match="starts from none"):
        execute(job(recipe=_adapting()))


def test_a_warmup_tells_when_it_ended_and_what_the_switch_cost(
    job: Build, parent: ParentArtifact
) -> None:
    recipe = _adapting(steps=9, optimizer=Optimizer(sgd=SGD(lr=0.05)), forgetting=False)
    method = Method(warmup=Warmup(patience=3, gain=0.9))
    outcome = execute(
        job(recipe=recipe, method=method, weights="stage", parents={"weights": parent})
    )
    validation = outcome.curves["validation/top1"]
    scores = dict(zip(validation.step, validation.value, strict=True))
    switch = int(outcome.metrics["warmup/steps"])
    assert 3 <= switch < 9
    after = [scores[s] for s in scores if switch < s <= switch + 3]
    assert outcome.metrics["warmup/drop"] == scores[switch] - min(after)
    assert outcome.metrics["warmup/ended"] == 1


def test_the_stage_and_its_children_can_hold_out_the_same_images(job: Build) -> None:
    # Else a child at another seed would be validated on images its source was trained on.
    splits = []
    for seed in (0, 1, 2):
        made = job(recipe=RECIPE, seed=seed)
        data = load_data(made, IMAGE, 0.3, validation_seed=0)
        splits.append((set(data.train.tolist()), set(data.validation.tolist())))
        assert not splits[0][0] & splits[-1][1]
        assert splits[-1] == splits[0]
    other = load_data(job(recipe=RECIPE, seed=1), IMAGE, 0.3)
    assert splits[0][0] & set(other.validation.tolist())
