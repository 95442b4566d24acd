"""What is held out must be there, and unseen by whatever a cell starts from."""

from __future__ import annotations

import pytest

from bench.data.subset import holdout, per_class_subset
from bench.errors import SpecError
from bench.spec.work import Train

LABELS = [i % 20 for i in range(1200)]
CHILD = """
title: A child on its stage's data
axes:
  backbone: test_resnet
  weights: stage:source
  dataset: glyphs
  sampling_rate: {rate}
  method: plain
  seed: [1, 2]
recipe:
  steps: 10
  validation: {ours}
  validation_seed: {by}
stages:
  source: {{sampling_rate: {their_rate}, seed: {seed}, recipe: {{validation: {theirs}}}}}
methods:
  plain: {{}}
profiles:
  offline: {{}}
"""


def child(**given: object) -> str:
    usual = {"rate": 1.0, "their_rate": 1.0, "ours": 0.1, "theirs": 0.1, "by": 0, "seed": 0}
    return CHILD.format(**{**usual, **given})


SEEN = [
    ({"by": "null"}, "same recipe.validation_seed"),
    ({"theirs": 0}, "let the stage hold out as many"),
    ({"theirs": 0.05}, "let the stage hold out as many"),
    ({"ours": 3, "theirs": 2}, "let the stage hold out as many"),
    ({"ours": 40, "theirs": 0.5}, "let the stage hold out as many"),
    ({"rate": 0.5}, "draw both from the same rows"),
    ({"rate": 0.5, "their_rate": 0.5}, "draw both from the same rows"),
]
UNSEEN = [
    {},
    {"theirs": 0.2},
    {"ours": 2, "theirs": 3},
    {"by": "null", "seed": "null"},
    {"rate": 0.5, "their_rate": 0.5, "seed": "null"},
]


def overlap(found) -> int:
    """How many rows cells are validated on that their stage was trained on."""
    rows = {}
    for planned in found.cells:
        cell = planned.cell
        assert isinstance(cell.work, Train)
        drawn = per_class_subset(LABELS, cell.tasks[""].sampling_rate, cell.seed, "glyphs")
        by = cell.recipe.validation_seed
        amount, seed = cell.recipe.validation, cell.seed if by is None else by
        rows[cell.id] = holdout(LABELS, drawn, amount, seed, "glyphs")
    return sum(
        len({*rows[p.cell.id][1]} & {*rows[p.cell.parents["start"].id][0]}) for p in found.shown
    )


@pytest.mark.parametrize(("given", "remedy"), SEEN)
def test_a_child_is_not_validated_on_rows_that_its_stage_was_trained_on(
    plan, monkeypatch, given, remedy
):
    with pytest.raises(SpecError, match=rf"recipe.validation: cells of glyphs .*\n.*{remedy}"):
        plan(child(**given))
    # It would be: counted on labels like those of the data.
    monkeypatch.setattr("bench.spec.plan.check_held_out", lambda *_: None)
    assert overlap(plan(child(**given))) > 0


@pytest.mark.parametrize("given", UNSEEN)
def test_a_child_may_hold_out_what_its_stage_held_out(plan, given):
    assert overlap(plan(child(**given))) == 0


def test_another_dataset_was_not_seen(plan):
    text = child(by="null").replace("{sampling_rate", "{dataset: digits, sampling_rate")
    assert plan(text)


@pytest.mark.parametrize("amount", [60, 10_000_000])
def test_no_more_is_held_out_than_a_class_has(plan, amount):
    # glyphs has 1,200 images of 20 classes.
    text = child(ours=amount, theirs=amount).replace("stage:source", "random")
    assert plan(text.replace(f"validation: {amount}", "validation: 59"))
    with pytest.raises(SpecError, match=r"recipe.validation: .* a class of glyphs has 60"):
        plan(text)


def test_a_batch_is_not_larger_than_the_data(plan):
    def batches(size: int) -> str:
        return child().replace("  steps: 10", f"  steps: 10\n  batch_size: {size}")

    assert plan(batches(1200))
    with pytest.raises(SpecError, match=r"batch_size: a batch of 12,000,000,000 is larger than"):
        plan(batches(12_000_000_000))
