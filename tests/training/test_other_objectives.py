"""Cells whose targets are numbers and whose network is none of timm's."""

from __future__ import annotations

import statistics
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from sklearn import metrics

from bench.errors import DataError, UserError
from bench.models.checkpoint import load_checkpoint
from bench.parts.objectives.regression import Regression
from bench.spec.cell import START
from bench.spec.recipe import SGD, Anytime, Optimizer, Recipe, Warmup
from bench.training.execute import execute
from tests.training.conftest import CLASSES, Build, left, task, use

MLP = use("mlp", widths=(8,), activation="tanh")
NUMBERS = {"": task("numbers", "regression")}


def _recipe(**changes: object) -> Recipe:
    settings: dict[str, object] = {
        "steps": 30,
        "batch_size": 8,
        "image": None,
        "augmentation": None,
        "optimizer": Optimizer(sgd=SGD(lr=0.1)),
    }
    return Recipe.model_validate(settings | changes)


def _outputs(path: Path, rows: np.ndarray) -> np.ndarray:
    """Return a checkpoint's outputs in float64, without torch."""
    state = load_file(path)
    state = {name: value.astype(np.float64) for name, value in state.items()}
    hidden = np.tanh(rows @ state["backbone.1.weight"].T + state["backbone.1.bias"])
    return hidden @ state["head.weight"].T + state["head.bias"]


def test_a_regression_is_learnt_and_scored_as_numpy_does(job: Build, numbers: Path) -> None:
    made = job(_recipe(), {"l2": {}}, network=MLP, tasks=NUMBERS, keep={"checkpoint"})
    outcome = execute(made)
    arrays = load_file(numbers)
    rows, targets = (arrays[f"test_{n}"].astype(np.float64) for n in ("inputs", "targets"))
    outputs = _outputs(left(made, outcome).path, rows)
    assert outputs.shape == targets.shape == (15, 2)
    error = np.mean((outputs - targets) ** 2)
    spread = np.mean((targets - targets.mean(0)) ** 2)
    assert outcome.metrics["test/mse"] == pytest.approx(error, rel=1e-5)
    assert outcome.metrics["test/loss"] == outcome.metrics["test/mse"]
    assert outcome.metrics["test/rmse"] == pytest.approx(np.sqrt(error), rel=1e-5)
    assert outcome.metrics["test/r2"] == pytest.approx(1 - error / spread, rel=1e-4)
    assert error < spread
    curve = outcome.curves["train/squared_error"]
    assert curve.value[-1] < curve.value[0] / 2
    assert "classes" not in outcome.provenance.data
    assert {"data:arrays", "network:mlp", "objective:regression"} <= set(outcome.provenance.code)


def test_the_first_loss_is_that_of_the_first_batch(job: Build, numbers: Path) -> None:
    # A head of zeros predicts zeros, and a batch of all rows is all of them once.
    recipe = _recipe(steps=1, batch_size=40, head_init=use("zeros"))
    outcome = execute(job(recipe, network=MLP, tasks=NUMBERS))
    expected = np.mean(load_file(numbers)["train_targets"].astype(np.float64) ** 2)
    assert outcome.curves["train/squared_error"].value == pytest.approx((expected,), rel=1e-6)


def test_of_an_error_the_lowest_is_best(job: Build) -> None:
    # A rate at which the error falls and then grows.
    recipe = _recipe(
        steps=12, validation=0.3, validate_every=1, selection="best-on-validation",
        optimizer=Optimizer(sgd=SGD(lr=0.3, momentum=0.9)),
    )  # fmt: skip
    made = job(recipe, network=MLP, tasks=NUMBERS, keep={"checkpoint"})
    outcome = execute(made)
    curve = outcome.curves["validation/mse"]
    best = int(np.argmin(curve.value))
    assert curve.value[best] < min(curve.value[0], curve.value[-1])
    assert outcome.metrics["validation/mse"] == curve.value[best]
    assert outcome.provenance.data["selected_step"] == curve.at[best]
    facts = outcome.provenance.data
    assert (facts["train_images"], facts["validation_images"]) == (28, 12)


def test_anytime_the_state_of_the_lowest_error_so_far_is_deployed(job: Build) -> None:
    recipe = _recipe(
        steps=13, validation=0.3, anytime=Anytime(gap=1),
        optimizer=Optimizer(sgd=SGD(lr=0.9, momentum=0.9)),
    )  # fmt: skip
    curves = execute(job(recipe, network=MLP, tasks=NUMBERS)).curves
    validation, deployed = curves["validation/mse"], curves["anytime/step"]
    for checkpoint, step in zip(deployed.at, deployed.value, strict=True):
        assert step == np.argmin(validation.value[: int(checkpoint) + 1])
    assert set(curves) >= {"anytime/test/mse", "anytime/test/r2"}


def test_a_warmups_drop_of_an_error_is_how_far_it_rose_in_the_mean(job: Build) -> None:
    recipe = _recipe(
        steps=9, validation=0.3, anytime=Anytime(gap=1),
        optimizer=Optimizer(sgd=SGD(lr=0.9, momentum=0.9)),
    )  # fmt: skip
    outcome = execute(
        job(recipe, network=MLP, tasks=NUMBERS, warmup=Warmup(patience=3, gain=100.0))
    )
    curve = outcome.curves["validation/mse"]
    scores = dict(zip(curve.at, curve.value, strict=True))
    assert outcome.metrics["warmup/steps"] == 3
    after = statistics.fmean(scores[step] for step in (4, 5, 6))
    assert outcome.metrics["warmup/drop"] == pytest.approx(after - scores[3], rel=1e-12)
    assert after > scores[3]


def test_the_mean_squared_error_is_over_rows_and_outputs() -> None:
    draw = np.random.default_rng(0)
    outputs, targets = draw.normal(size=(2, 20, 3)).astype(np.float32)
    found = Regression().scores(outputs, targets)
    assert found["mse"] == pytest.approx(metrics.mean_squared_error(targets, outputs))
    assert found["rmse"] == pytest.approx(metrics.mean_squared_error(targets, outputs) ** 0.5)
    pooled = metrics.r2_score(targets, outputs, multioutput="variance_weighted")
    assert found["r2"] == pytest.approx(pooled)
    flat = Regression().scores(outputs[:, :1], targets[:, 0])
    assert flat["mse"] == pytest.approx(metrics.mean_squared_error(targets[:, 0], outputs[:, 0]))


def test_targets_must_be_what_the_objective_asks_for(job: Build) -> None:
    with pytest.raises(DataError, match="class labels"):
        execute(job(_recipe(), network=MLP, tasks={"": task("numbers")}))
    with pytest.raises(DataError, match="numbers as targets"):
        execute(job(tasks={"": task("noise", "regression")}))


def test_tasks_of_inputs_that_differ_in_shape_are_refused(job: Build) -> None:
    tasks = {"rows": task("numbers", "regression"), "points": task("rings")}
    with pytest.raises(UserError, match="differ in shape"):
        execute(job(_recipe(), network=MLP, tasks=tasks))


def test_a_network_of_a_part_is_picked_up_where_it_was_left(job: Build) -> None:
    first = job(_recipe(), network=MLP, tasks=NUMBERS, keep={"checkpoint"})
    parent = left(first, execute(first))
    child = job(
        _recipe(), network=MLP, tasks=NUMBERS, weights="stage", parents={START: parent},
        trainable="head", keep={"checkpoint"},
    )  # fmt: skip
    ours, theirs = (load_checkpoint(p.path) for p in (left(child, execute(child)), parent))
    for name, value in theirs.backbone.items():
        assert ours.backbone[name].equal(value), name
    assert not ours.heads[""]["weight"].equal(theirs.heads[""]["weight"])


def test_forgetting_is_how_much_an_error_has_grown(job: Build) -> None:
    first = job(_recipe(steps=60), network=MLP, tasks=NUMBERS, keep={"checkpoint"})
    learnt = execute(first)
    rough = _recipe(steps=5, forgetting=True, optimizer=Optimizer(sgd=SGD(lr=0.1, backbone_lr=5.0)))
    outcome = execute(
        job(rough, network=MLP, tasks=NUMBERS, weights="stage", seed=1,
            parents={START: left(first, learnt)})
    )  # fmt: skip
    before, after = learnt.metrics["test/mse"], outcome.metrics["source/mse"]
    assert after > before
    assert outcome.metrics["source/forgotten"] == after - before


PLUGIN = """
from bench.parts import objective
from bench.parts.objectives.classification import Classification


@objective("{name}")
class Mine(Classification):
    metrics = {metrics}
    score = "top1"
    term = "mine"

    def scores(self, outputs, targets):
        return {{"top1": 0.25}}
"""


def test_an_objective_of_ones_own_gives_what_it_declares(job: Build, tmp_path: Path) -> None:
    file = tmp_path / "honest.py"
    file.write_text(PLUGIN.format(name="honest", metrics={"top1": ("%", "highest")}))
    outcome = execute(job(tasks={"": task("noise", "honest")}, plugins=[file]))
    assert {n for n in outcome.metrics if n.startswith("test/")} == {"test/top1"}
    assert outcome.curves["train/mine"].value[0] == pytest.approx(np.log(CLASSES), abs=0.1)
    other = tmp_path / "other.py"
    both = {"top1": ("%", "highest"), "top5": ("%", "highest")}
    other.write_text(PLUGIN.format(name="other", metrics=both))
    with pytest.raises(UserError, match=r"declares the metrics \['top1', 'top5'\] and gives"):
        execute(job(tasks={"": task("noise", "other")}, plugins=[other]))
