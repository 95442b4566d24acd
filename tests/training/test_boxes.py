"""Cells whose targets are boxes in images: the whole way, and the scores by torchvision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torchvision.ops import box_convert, box_iou

from bench.data import identity
from bench.data.prepare import prepare
from bench.data.procedural import boxes
from bench.data.sources import procedural
from bench.errors import DataError
from bench.parts.checks.random_data import Facts
from bench.parts.objectives.boxes import Boxes, intersection_over_union
from bench.spec.catalogue import Rows, entry
from bench.spec.cell import START, Resources
from bench.spec.recipe import SGD, Augmentation, Image, Optimizer, Recipe
from bench.training.execute import execute
from tests.training.conftest import Build, left, task, use

SIZE = Image(resize=32, size=32, normalise="half")


def overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the overlap of boxes row by row, by torchvision in float64."""
    corners = [
        box_convert(torch.from_numpy(each.astype(np.float64)), "cxcywh", "xyxy")
        for each in (first, second)
    ]
    return box_iou(*corners).diagonal().numpy()


def drawn(rows: int, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    return np.concatenate([draw.uniform(0.2, 0.8, (rows, 2)), draw.uniform(0.1, 0.9, (rows, 2))], 1)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch, images: object) -> None:
    """Make the set one of three glyphs, 8 training and 5 test images each."""
    monkeypatch.setitem(procedural.PLANS, "boxes", procedural.Plan(3, 8, 5))
    known = entry("boxes").model_copy(update={"digest": None, "rows": Rows()})
    monkeypatch.setattr(identity, "entry", lambda name: known if name == "boxes" else entry(name))


def recipe(**changes: object) -> Recipe:
    settings = {
        "steps": 12, "batch_size": 8, "image": SIZE, "head_init": use("zeros"),
        "augmentation": Augmentation(crop="centre", flip=False),
        "optimizer": Optimizer(sgd=SGD(lr=0.05, momentum=0.9)),
    }  # fmt: skip
    return Recipe.model_validate(settings | changes)


def test_overlap_is_torchvisions() -> None:
    first, second = drawn(300), drawn(300, 1)
    found = intersection_over_union(first, second)
    np.testing.assert_allclose(found, overlaps(first, second), atol=1e-12)
    assert 0 < found.mean() < 1
    assert (found == 0).any()
    np.testing.assert_allclose(intersection_over_union(first, first), 1, atol=1e-12)


def test_a_box_turned_inside_out_overlaps_in_nothing() -> None:
    inside_out = np.array([[0.5, 0.5, -0.4, 0.4], [0.5, 0.5, -0.4, -0.4], [0.5, 0.5, 0.0, 0.0]])
    whole = np.array([[0.5, 0.5, 1.0, 1.0]] * 3)
    assert intersection_over_union(inside_out, whole).tolist() == [0, 0, 0]
    assert intersection_over_union(inside_out, inside_out).tolist() == [0, 0, 0]


def test_scores_are_means_over_images_and_the_loss_is_that_of_training() -> None:
    said, true = drawn(200).astype(np.float32), drawn(200, 1).astype(np.float32)
    found = Boxes().scores(said, true)
    expected = overlaps(said, true)
    assert found["iou"] == pytest.approx(expected.mean(), abs=1e-9)
    assert found["iou50"] == (expected > 0.5).mean() > 0
    # Smooth L1 as Girshick writes it, scaled: beta times smooth(error / beta).
    errors = np.abs(said.astype(np.float64) - true) / 0.05
    assert (errors < 1).any()
    smooth = np.where(errors < 1, 0.5 * errors**2, errors - 0.5)
    assert found["loss"] == pytest.approx(0.05 * smooth.mean(), rel=1e-9)
    loss = Boxes().loss(torch.from_numpy(said), torch.from_numpy(true))
    assert loss.item() == pytest.approx(found["loss"], rel=1e-5)


@pytest.mark.parametrize("facts", [Facts(4, ()), Facts(None, (2,)), Facts(None, (4, 1))])
def test_only_four_numbers_are_a_box(facts: Facts) -> None:
    assert Boxes().width(Facts(None, (4,))) == 4
    with pytest.raises(DataError, match="four numbers an image"):
        Boxes().width(facts)


def test_prepared_images_have_their_own_boxes(few: None) -> None:
    ready = prepare("boxes", Image(resize=64, size=64))
    assert (ready.modality, ready.classes, ready.target_shape) == ("images", None, (4,))
    for split, count in (("train", 8), ("test", 5)):
        rows = getattr(ready, split)
        assert rows.targets.dtype == np.float32
        for label in range(3):
            of_label = slice(label * count, (label + 1) * count)
            assert np.array_equal(rows.inputs[of_label], boxes.images(label, split, count))
            assert np.array_equal(rows.targets[of_label], boxes.targets(label, split, count))


def test_other_boxes_have_another_digest(few: None, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = prepare("boxes", SIZE)
    real = boxes.targets
    monkeypatch.setattr(boxes, "targets", lambda *row: real(*row)[::-1])
    monkeypatch.setitem(procedural.PLANS, "boxes", procedural.Plan(3, 8, 5))
    known = identity.entry("boxes").model_copy(update={"label": "another identity"})
    monkeypatch.setattr(identity, "entry", lambda name: known)
    assert prepare("boxes", SIZE).digest != ready.digest


def test_boxes_are_learnt_scored_and_picked_up(few: None, job: Build, resources: Resources) -> None:
    made = job(
        recipe(validation=0.25, validate_every=4, selection="best-on-validation"),
        tasks={"": task("boxes", "boxes", sampling_rate=0.5)}, keep={"checkpoint", "predictions"},
    )  # fmt: skip
    outcome = execute(made)
    facts = outcome.provenance.data
    # All images are one stratum: half of 24, and of these a quarter is held out.
    assert (facts["train_images"], facts["validation_images"], facts["test_images"]) == (9, 3, 15)
    assert "classes" not in facts
    assert {"objective:boxes", "data:procedural:boxes"} <= set(outcome.provenance.code)
    kept = load_file(left(made, outcome, "predictions").path)
    true = np.concatenate([boxes.targets(label, "test", 5) for label in range(3)])
    assert np.array_equal(kept["targets"], true)
    expected = overlaps(kept["outputs"], true)
    assert outcome.metrics["test/iou"] == pytest.approx(expected.mean(), abs=1e-6)
    assert outcome.metrics["test/iou50"] == (expected > 0.5).mean()
    curve = outcome.curves["train/smooth_l1"]
    assert curve.value[-1] < curve.value[0]
    assert outcome.metrics["validation/iou"] == max(outcome.curves["validation/iou"].value)

    # A child that learns classes with the backbone at rest forgets nothing of the boxes.
    child = recipe(
        steps=3, forgetting=True, optimizer=Optimizer(sgd=SGD(lr=0.1, backbone_lr=0.0)),
        head_bias=False,
    )  # fmt: skip
    after = execute(
        job(child, weights="stage", parents={START: left(made, outcome)}, trainable="head")
    )
    assert after.metrics["source/iou"] == pytest.approx(outcome.metrics["test/iou"], abs=1e-6)
    assert after.metrics["source/forgotten"] == 0
