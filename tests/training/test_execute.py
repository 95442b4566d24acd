from __future__ import annotations

import dataclasses
import json
import math
import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.errors import UserError
from bench.files import file_sha256
from bench.models.checkpoint import load_checkpoint
from bench.records.record import Outcome
from bench.scheduling.job import Job, ParentArtifact
from bench.spec.cell import START
from bench.spec.recipe import Augmentation, Evaluation, Recipe
from bench.training.execute import execute
from bench.training.finite import NotANumber
from bench.training.loss import ATTENTION, Batch, Loss
from tests.training.conftest import CLASSES, METHODS, RECIPE, Build, left, use
from tests.training.in_another_process import bits


@pytest.fixture
def attention(attention_job: Job) -> ParentArtifact:
    return left(attention_job, execute(attention_job), "arrays")


@pytest.fixture
def six(job: Build, attention: ParentArtifact, source: ParentArtifact) -> dict[str, Job]:
    """Return a job for each method of Table 2, at one seed."""
    return {
        name: job(
            penalties=parts,
            weights="stage",
            parents={START: source} | ({ATTENTION: attention} if "delta" in parts else {}),
        )
        for name, parts in METHODS.items()
    }


def test_the_same_cell_gives_the_same_bits_in_any_process(
    six: dict[str, Job], attention_job: Job, tmp_path: Path
) -> None:
    jobs = {**six, "attention": attention_job}
    (tmp_path / "jobs").write_bytes(pickle.dumps(jobs))
    there = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.training.in_another_process",
         str(tmp_path / "jobs")],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": "5"},
    )  # fmt: skip
    assert there.returncode == 0, there.stderr
    other = json.loads(there.stdout)
    for name, each in jobs.items():
        assert bits(execute(each)) == other[name], name
    assert len({json.dumps(other[name]) for name in METHODS}) == 6
    assert (other["heavy"], other["preloaded"], other["cuda"]) == ([], True, False)


def test_at_one_seed_all_methods_see_the_same_batches_and_start_alike(
    six: dict[str, Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Tensor, Tensor]] = []
    terms = Loss.terms

    def spy(self: Loss, batches: Mapping[str, Batch], **draws: Any) -> Tensor:
        ((images, labels),) = batches.values()
        seen.append((images.clone(), labels.clone()))
        return terms(self, batches, **draws)

    monkeypatch.setattr(Loss, "terms", spy)
    batches, first = {}, set()
    for name, each in six.items():
        seen.clear()
        first.add(execute(each).curves["train/cross_entropy"].value[0])
        batches[name] = list(seen)
    assert len(first) == 1
    reference = batches.pop("l2")
    for name, theirs in batches.items():
        for (a, x), (b, y) in zip(reference, theirs, strict=True):
            assert torch.equal(a, b), name
            assert torch.equal(x, y), name


def test_another_seed_gives_other_numbers(job: Build) -> None:
    assert execute(job(seed=0)).metrics != execute(job(seed=1)).metrics


def test_an_outcome_says_everything(job: Build) -> None:
    outcome = execute(job(penalties={"l2": {}, "bss": {}}))
    assert outcome.status == "done"
    assert set(outcome.metrics) == {
        f"test/{name}" for name in ("top1", "top5", "mean_class_accuracy", "loss")
    } | {
        "features/distance", "head/norm", "train/gradients",
        "parameters/trained", "parameters/private", "parameters/total",
    }  # fmt: skip
    assert outcome.metrics["train/gradients"] == 4
    assert outcome.metrics["parameters/trained"] == outcome.metrics["parameters/total"]
    assert outcome.metrics["parameters/private"] == CLASSES * 96 + CLASSES
    assert set(outcome.curves) == {
        "train/loss", "train/cross_entropy", "train/learning_rate", "penalty/l2", "penalty/bss",
    }  # fmt: skip
    assert set(outcome.timings) == {"data_s", "build_s", "train_s", "evaluate_s", "total_s"}
    parts = sum(v for n, v in outcome.timings.items() if n != "total_s")
    assert outcome.timings["total_s"] == pytest.approx(parts, rel=0.5)
    made_of = outcome.provenance
    assert set(made_of.code) == {
        "train", "data:folder", "objective:classification", "head:normal", "trainable:all",
        "update:gradient", "penalty:l2", "penalty:bss",
    }  # fmt: skip
    assert made_of.data["train_images"] == 30
    assert made_of.data["test_images"] == 12
    assert (made_of.data["selection"], made_of.data["selected_step"]) == ("last", 4)
    assert {len(made_of.data[n]) for n in ("dataset", "subset", "test")} == {64}
    assert made_of.weights[START]["source"] == "random"
    assert len(made_of.weights[START]["sha256"]) == 64
    libraries = {"python", "retable", "torch", "torchvision", "timm", "numpy", "pillow"}
    assert set(made_of.versions) == libraries
    assert made_of.machine["threads"] == "1"
    assert made_of.machine["device"] == "cpu"
    assert outcome.artifacts == {}
    json.dumps(dataclasses.asdict(outcome), allow_nan=False)


def test_a_zero_head_starts_at_the_loss_of_guessing(job: Build) -> None:
    recipe = RECIPE.model_copy(update={"head_init": use("zeros")})
    curve = execute(job(recipe)).curves["train/loss"]
    assert curve.value[0] == pytest.approx(math.log(CLASSES))


def _fitting(**changes: Any) -> Recipe:
    return RECIPE.model_copy(
        update={"augmentation": Augmentation(crop="centre", flip=False), **changes}
    )


def test_training_learns_the_colours(job: Build) -> None:
    outcome = execute(job(recipe=_fitting(steps=30)))
    assert outcome.metrics["test/top1"] > 0.9


@pytest.mark.parametrize("crops", [1, 10])
def test_a_stage_is_picked_up_where_it_was_left(job: Build, crops: int) -> None:
    recipe = _fitting(evaluation=Evaluation(crops=crops))
    source = job(recipe=recipe, keep={"checkpoint"})
    parent = left(source, execute(source))
    kept = load_checkpoint(parent.path, parent.sha256)
    assert (kept.name, len(kept.heads[""]["weight"])) == ("test_resnet", CLASSES)
    child = job(
        recipe, trainable="head", weights="stage", parents={START: parent}, keep={"checkpoint"}
    )
    second = execute(child)
    assert second.provenance.weights[START]["source"] == "stage"
    assert second.provenance.parents[START] == {
        "id": source.cell.id, "artifact": "checkpoint", "attempt": 1, "sha256": parent.sha256,
    }  # fmt: skip
    after = load_checkpoint(left(child, second).path)
    for name, value in kept.backbone.items():
        assert torch.equal(after.backbone[name], value), name


@pytest.mark.parametrize("selection", ["best-on-validation", "best-on-test"])
def test_the_selected_state_is_the_one_reported_and_kept(job: Build, selection: str) -> None:
    split = selection.removeprefix("best-on-")
    recipe = _fitting(selection=selection, validation=0.3, validate_every=1, steps=6)
    outcome = execute(job(recipe=recipe, keep={"checkpoint"}))
    curve = outcome.curves[f"{split}/top1"]
    assert outcome.metrics[f"{split}/top1"] == max(curve.value)
    facts = outcome.provenance.data
    assert facts["selection"] == selection
    assert facts["selected_step"] == curve.at[curve.value.index(max(curve.value))]
    assert (facts["train_images"], facts["validation_images"]) == (21, 9)


def test_the_test_split_is_scored_while_training_only_by_that_name(job: Build) -> None:
    recipe = _fitting(selection="best-on-validation", validation=0.3, validate_every=2)
    outcome = execute(job(recipe=recipe))
    assert "validation/top1" in outcome.curves
    assert "test/top1" not in outcome.curves
    assert {"validation/top1", "validation/loss", "test/top1"} <= set(outcome.metrics)


def test_the_rows_that_were_trained_on_are_scored_where_a_recipe_asks(job: Build) -> None:
    recipe = _fitting(validation=0.3)
    asked = recipe.model_copy(update={"evaluation": Evaluation(train=True)})
    without, outcome = execute(job(recipe=recipe)), execute(job(recipe=asked))
    ours = {name: v for name, v in outcome.metrics.items() if name not in without.metrics}
    assert set(ours) == {"train/top1", "train/top5", "train/mean_class_accuracy", "train/loss"}
    assert without.metrics == {n: v for n, v in outcome.metrics.items() if n not in ours}
    assert outcome.provenance is not None
    data = outcome.provenance.data
    assert data["validation_images"] > 0
    # Of those rows and no others, and the loss is not that of a batch.
    right = ours["train/top1"] * data["train_images"]
    assert right == pytest.approx(round(right), abs=1e-9)
    assert ours["train/loss"] not in outcome.curves["train/loss"].value


def test_a_recipe_may_leave_the_test_split_alone(job: Build) -> None:
    recipe = _fitting(validation=0.3, evaluation=Evaluation(test=False))
    metrics = execute(job(recipe=recipe)).metrics
    assert {name.partition("/")[0] for name in metrics} == {
        "validation", "features", "head", "train", "parameters",
    }  # fmt: skip


def test_bfloat16_trains_on_a_cpu_and_float16_is_refused(job: Build) -> None:
    full = execute(job(penalties={"bss": {}}, recipe=RECIPE))
    half = execute(
        job(penalties={"bss": {}}, recipe=RECIPE.model_copy(update={"precision": "bfloat16"}))
    )
    assert half.metrics["test/loss"] == pytest.approx(full.metrics["test/loss"], rel=0.2)
    assert half.curves["train/loss"].value[0] != full.curves["train/loss"].value[0]
    with pytest.raises(UserError, match="float16"):
        execute(job(recipe=RECIPE.model_copy(update={"precision": "float16"})))


def test_a_users_penalty_that_breaks_is_named(job: Build, tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "from bench.parts import Penalty, Step, penalty\n\n\n"
        '@penalty("mine")\nclass Mine(Penalty):\n'
        "    weight: float = 1.0\n\n"
        "    def __call__(self, step: Step):\n"
        "        return self.weight * step.features.sum() / 0.0\n"
    )
    with pytest.raises(NotANumber) as caught:
        execute(job(penalties={"mine": {}}, plugins=[plugin]))
    assert (caught.value.term, caught.value.step) == ("mine", 1)


def test_the_callers_random_state_is_left_alone(job: Build) -> None:
    torch.manual_seed(12345)
    before = torch.get_rng_state()
    execute(job())
    assert torch.equal(before, torch.get_rng_state())


def _same(a: Outcome, b: Outcome) -> bool:
    return bits(a) == bits(b)


def test_the_delta_cell_reads_its_parents_weights(
    six: dict[str, Job], attention: ParentArtifact, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    path = tmp_path / "other.safetensors"
    save_file({name: torch.roll(w, 1) for name, w in load_file(attention.path).items()}, path)
    other = dataclasses.replace(attention, path=path, sha256=file_sha256(path))
    parents = {**six["delta"].parents, ATTENTION: other}
    changed = dataclasses.replace(six["delta"], parents=parents)
    assert not _same(execute(six["delta"]), execute(changed))
