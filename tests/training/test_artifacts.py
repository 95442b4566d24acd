"""What a cell leaves for others, and what it finds of others."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file

from bench.data.streams import Stream
from bench.errors import StoreError, WeightsError
from bench.files import file_sha256
from bench.models.checkpoint import load_checkpoint
from bench.scheduling.engines.call import call
from bench.scheduling.job import Job, ParentArtifact
from bench.spec.cell import START
from bench.spec.recipe import SGD, Evaluation, Image, Optimizer, Recipe
from bench.spec.seeds import stream_seed
from bench.training import train_cell
from bench.training.execute import execute
from bench.training.loss import ATTENTION
from tests.training.conftest import CLASSES, RECIPE, STRIPES, Build, left, task
from tests.training.in_another_process import bits

SAVED = ("outputs", "targets", "test_rows", "image_size", "multiply_adds")
ALL = ("checkpoint", "checkpoint@start", "checkpoint@step 3", "predictions")


def _recipe(**changes: object) -> Recipe:
    return RECIPE.model_copy(update=changes)


# -- what is left --------------------------------------------------------------------------------


def test_what_is_asked_for_is_left_under_the_attempts_number(job: Build) -> None:
    made = job(keep=ALL, attempt=7)
    outcome = execute(made)
    assert {name: a.file for name, a in outcome.artifacts.items()} == {
        "checkpoint": "0007.checkpoint.safetensors",
        "checkpoint@start": "0007.checkpoint@start.safetensors",
        "checkpoint@step 3": "0007.checkpoint@step%203.safetensors",
        "predictions": "0007.predictions.safetensors",
    }
    for artifact in outcome.artifacts.values():
        assert file_sha256(made.folder / artifact.file) == artifact.sha256
    assert {f.name for f in made.folder.iterdir()} == {a.file for a in outcome.artifacts.values()}


def test_nothing_is_left_that_nobody_asked_for(job: Build) -> None:
    made = job(keep={"checkpoint@step 2"})
    assert set(execute(made).artifacts) == {"checkpoint@step 2"}
    assert [f.name for f in made.folder.iterdir()] == ["0001.checkpoint@step%202.safetensors"]


def test_another_attempt_replaces_no_file(job: Build) -> None:
    first, again = job(keep=ALL), job(keep=ALL, attempt=2)
    assert first.folder == again.folder
    ours = execute(first).artifacts
    theirs = execute(again).artifacts
    for name in ALL:
        assert ours[name].file != theirs[name].file
        assert ours[name].sha256 == theirs[name].sha256
        assert file_sha256(first.folder / ours[name].file) == ours[name].sha256


def test_leaving_things_changes_no_number(job: Build) -> None:
    with_all, without = bits(execute(job(penalties={"l2": {}}, keep=ALL))), bits(
        execute(job(penalties={"l2": {}}))
    )  # fmt: skip
    assert with_all.pop("artifacts") != without.pop("artifacts")
    assert with_all == without


def test_the_state_after_three_steps_is_that_of_a_training_of_three_steps(job: Build) -> None:
    long, short = job(_recipe(steps=6), keep=ALL), job(_recipe(steps=3), keep=ALL)
    ours, theirs = execute(long), execute(short)

    def same(one: str, other: str) -> bool:
        a = load_file(left(long, ours, one).path)
        b = load_file(left(short, theirs, other).path)
        return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)

    assert same("checkpoint@step 3", "checkpoint")
    assert same("checkpoint@step 3", "checkpoint@step 3")
    assert same("checkpoint@start", "checkpoint@start")
    assert not same("checkpoint", "checkpoint")
    assert not same("checkpoint@step 3", "checkpoint@start")


def test_the_start_is_what_stands_before_the_first_step(job: Build) -> None:
    still = _recipe(steps=1)
    made = job(still, keep={"checkpoint@start", "checkpoint@step 0", "checkpoint@step 1"})
    outcome = execute(made)
    start, zero, one = (
        load_checkpoint(left(made, outcome, f"checkpoint@{name}").path)
        for name in ("start", "step 0", "step 1")
    )
    assert all(torch.equal(zero.backbone[n], value) for n, value in start.backbone.items())
    assert start.backbone["conv1.1.num_batches_tracked"] == 0
    assert one.backbone["conv1.1.num_batches_tracked"] == 1


@pytest.mark.parametrize("crops", [1, 10])
def test_predictions_give_the_recorded_accuracy(job: Build, crops: int) -> None:
    recipe = _recipe(steps=12, evaluation=Evaluation(crops=crops))
    made = job(recipe, keep={"predictions"})
    outcome = execute(made)
    found = load_file(left(made, outcome, "predictions").path)
    outputs, targets = found["outputs"], found["targets"]
    assert outputs.shape == (12, CLASSES)
    assert targets.tolist() == [label for label in range(CLASSES) for _ in range(4)]
    hits = (outputs.argmax(1) == targets).numpy()
    assert outcome.metrics["test/top1"] == hits.mean()
    by_class = [hits[targets.numpy() == label].mean() for label in range(CLASSES)]
    assert outcome.metrics["test/mean_class_accuracy"] == pytest.approx(np.mean(by_class))
    loss = torch.nn.functional.cross_entropy(outputs.double(), targets).item()
    assert outcome.metrics["test/loss"] == pytest.approx(loss, rel=1e-12)


@pytest.mark.parametrize("name", ["", "one"])
def test_predictions_of_the_validation_split_stand_beside_the_tests(job: Build, name: str) -> None:
    recipe = _recipe(steps=12, validation=0.3)
    made = job(recipe, tasks={name: task()}, keep={"predictions"})
    outcome = execute(made)
    found = load_file(left(made, outcome, "predictions").path)
    prefix = f"{name}/" if name else ""
    assert set(found) == {
        *(f"{prefix}{what}" for what in SAVED),
        *(f"{prefix}validation/{what}" for what in ("outputs", "targets")),
    }
    for split, rows in (("test", 12), ("validation", 9)):
        own = "" if split == "test" else "validation/"
        outputs, targets = found[f"{prefix}{own}outputs"], found[f"{prefix}{own}targets"]
        assert outputs.shape == (rows, CLASSES)
        assert outcome.metrics[f"{prefix}{split}/top1"] == pytest.approx(
            (outputs.argmax(1) == targets).float().mean().item()
        )
        loss = torch.nn.functional.cross_entropy(outputs.double(), targets).item()
        assert outcome.metrics[f"{prefix}{split}/loss"] == pytest.approx(loss, rel=1e-12)


def test_predictions_of_several_tasks_stand_under_their_names(job: Build) -> None:
    made = job(tasks={"a": task(), "b": task("stripes")}, keep={"predictions"})
    outcome = execute(made)
    found = load_file(left(made, outcome, "predictions").path)
    assert {n: tuple(t.shape) for n, t in found.items()} == {
        "a/outputs": (12, CLASSES), "a/targets": (12,), "a/image_size": (), "a/multiply_adds": (),
        "b/outputs": (6, STRIPES), "b/targets": (6,), "b/image_size": (), "b/multiply_adds": (),
        "a/test_rows": (32,), "b/test_rows": (32,),
    }  # fmt: skip
    for name in "ab":
        hits = (found[f"{name}/outputs"].argmax(1) == found[f"{name}/targets"]).numpy()
        assert outcome.metrics[f"{name}/test/top1"] == hits.mean()


def test_predictions_say_which_test_rows_they_are_of(job: Build) -> None:
    smaller = task(image=Image(resize=36, size=24))
    tasks = {"a": task(), "smaller": smaller, "b": task("stripes")}
    made = job(_recipe(steps=1), tasks=tasks, keep={"predictions"})
    found = load_file(left(made, execute(made), "predictions").path)
    assert found["a/test_rows"].equal(found["smaller/test_rows"])
    assert not found["a/test_rows"].equal(found["b/test_rows"])


def test_predictions_say_what_an_image_of_each_task_costs(job: Build) -> None:
    sizes = {"small": Image(resize=36, size=24), "large": Image(resize=72, size=64)}
    tasks = {name: task(image=image) for name, image in sizes.items()}
    made = job(
        _recipe(evaluation=Evaluation(crops=10)), tasks=tasks, keep={"predictions"},
        patches=["private-normalisation"],
    )  # fmt: skip
    found = load_file(left(made, execute(made), "predictions").path)
    for name, image in sizes.items():
        assert found[f"{name}/image_size"].item() == image.size
        assert found[f"{name}/multiply_adds"].item() == _products(image.size, CLASSES)


def _products(size: int, classes: int) -> int:
    """Return the products in one pass of test_resnet, counted layer by layer."""
    network = timm.create_model("test_resnet", num_classes=classes).eval()
    counts = []

    def count(layer: torch.nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        counts.append(output.numel() * layer.weight[0].numel())  # type: ignore[index, operator]

    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            layer.register_forward_hook(count)
    network(torch.zeros(1, 3, size, size))
    return sum(counts)


def test_what_is_left_is_of_the_state_that_is_reported(job: Build) -> None:
    recipe = _recipe(
        steps=8, validation=0.3, validate_every=1, selection="best-on-validation",
        optimizer=Optimizer(sgd=SGD(lr=3.0, momentum=0.9)),
    )  # fmt: skip
    step = int(execute(job(recipe)).provenance.data["selected_step"])
    assert step < 8
    made = job(recipe, keep={"checkpoint", "predictions", f"checkpoint@step {step}"})
    outcome = execute(made)
    reported = load_file(left(made, outcome).path)
    then = load_file(left(made, outcome, f"checkpoint@step {step}").path)
    assert all(torch.equal(reported[name], value) for name, value in then.items())
    found = load_file(left(made, outcome, "predictions").path)
    hits = (found["outputs"].argmax(1) == found["targets"]).numpy()
    assert outcome.metrics["test/top1"] == hits.mean()


# -- the head of the start -----------------------------------------------------------------------


@pytest.fixture
def parent(job: Build) -> ParentArtifact:
    made = job(_recipe(steps=6), keep={"checkpoint"})
    return left(made, execute(made))


def test_a_kept_head_is_the_starts_bit_for_bit(job: Build, parent: ParentArtifact) -> None:
    child = job(
        _recipe(head="kept"), weights="stage", parents={START: parent}, seed=1,
        keep={"checkpoint@start", "checkpoint"},
    )  # fmt: skip
    outcome = execute(child)
    start, theirs = left(child, outcome, "checkpoint@start").path, parent.path
    assert load_file(start).keys() == load_file(theirs).keys()
    for name, value in load_file(theirs).items():
        assert torch.equal(load_file(start)[name], value), name
    assert not torch.equal(
        load_file(left(child, outcome).path)["head.weight"], load_file(theirs)["head.weight"]
    )


def test_a_new_head_is_the_seeds_and_not_the_starts(job: Build, parent: ParentArtifact) -> None:
    child = job(weights="stage", parents={START: parent}, keep={"checkpoint@start"})
    head = load_file(left(child, execute(child), "checkpoint@start").path)["head.weight"]
    draw = Stream(stream_seed(0, "head", "", "noise", "after 1"))
    expected = 0.01 * draw.normal(head.numel()).reshape(head.shape)
    np.testing.assert_array_equal(head, expected.astype(np.float32))
    assert not torch.equal(head, load_file(parent.path)["head.weight"])


def test_each_task_keeps_the_head_of_its_name(job: Build) -> None:
    tasks = {"a": task(), "b": task("stripes")}
    first = job(tasks=tasks, keep={"checkpoint"})
    parent = left(first, execute(first))
    child = job(
        _recipe(head="kept"), tasks=dict(reversed(tasks.items())), weights="stage",
        parents={START: parent}, keep={"checkpoint@start"},
    )  # fmt: skip
    ours = load_checkpoint(left(child, execute(child), "checkpoint@start").path).heads
    theirs = load_checkpoint(parent.path).heads
    for name in tasks:
        for part in ("weight", "bias"):
            assert torch.equal(ours[name][part], theirs[name][part])


@pytest.mark.parametrize(
    ("changes", "tasks", "problem"),
    [
        ({}, {"": task("stripes")}, f"has {CLASSES} outputs, and stripes needs {STRIPES}"),
        ({"head_bias": False}, {"": task()}, "needs 3 without a bias"),
        ({}, {"a": task()}, "has none"),
    ],
)
def test_a_head_that_does_not_fit_cannot_be_kept(
    job: Build, parent: ParentArtifact, changes: dict[str, object], tasks: object, problem: str
) -> None:
    child = job(
        _recipe(head="kept", **changes), tasks=tasks, weights="stage", parents={START: parent}
    )
    with pytest.raises(WeightsError, match=problem):
        execute(child)


def test_random_weights_have_no_head_to_keep(job: Build) -> None:
    with pytest.raises(WeightsError, match="has none"):
        execute(job(_recipe(head="kept")))


# -- changed files -------------------------------------------------------------------------------


def _changed(parent: ParentArtifact, folder: Path) -> ParentArtifact:
    content = bytearray(parent.path.read_bytes())
    content[-1] ^= 1
    path = folder / "changed.safetensors"
    path.write_bytes(content)
    return dataclasses.replace(parent, path=path)


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: object, **settings: object) -> None:
        raise AssertionError("it trains")

    monkeypatch.setattr(train_cell, "train", never)


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize("forgetting", [False, True])
def test_from_a_changed_checkpoint_nothing_is_trained(
    job: Build, source: ParentArtifact, tmp_path: Path, forgetting: bool
) -> None:
    recipe = _recipe(forgetting=forgetting)
    child = job(recipe, weights="stage", parents={START: _changed(source, tmp_path)})
    with pytest.raises(WeightsError, match="is not the file that was written"):
        execute(child)
    outcome = call("bench.training.execute:execute", child)
    assert outcome.status == "failed"
    assert outcome.failure is not None
    assert "changed.safetensors" in outcome.failure.message
    assert not outcome.metrics


@pytest.mark.usefixtures("untrained")
def test_with_changed_arrays_nothing_is_trained(
    job: Build, source: ParentArtifact, attention_job: Job, tmp_path: Path
) -> None:
    attention = left(attention_job, execute(attention_job), "arrays")
    child = job(
        penalties={"delta": {}}, weights="stage",
        parents={START: source, ATTENTION: _changed(attention, tmp_path)},
    )  # fmt: skip
    with pytest.raises(StoreError, match="not those that were written"):
        execute(child)


@pytest.mark.usefixtures("untrained")
def test_a_checkpoint_that_is_gone_is_an_error(
    job: Build, source: ParentArtifact, tmp_path: Path
) -> None:
    gone = dataclasses.replace(source, path=tmp_path / "gone.safetensors")
    with pytest.raises(WeightsError, match="no such file"):
        execute(job(weights="stage", parents={START: gone}))
