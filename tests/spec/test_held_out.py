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


SHIPPED = """
title: From shipped weights
axes:
  backbone: test_resnet
  weights: {weights}
  dataset: {dataset}
  sampling_rate: 0.3
  method: plain
  seed: 2
recipe:
  steps: 10
  validation: {validation}
stages:
  source: {{weights: "shipped:fractals", dataset: glyphs, recipe: {{validation: 0}}}}
methods:
  plain: {{}}
profiles:
  offline: {{}}
"""


@pytest.mark.parametrize("weights", ["shipped:fractals", "stage:source"])
def test_no_cell_is_validated_on_rows_that_shipped_weights_were_trained_on(plan, weights):
    given = {"weights": weights, "dataset": "fractals", "validation": 0.1}
    with pytest.raises(
        SpecError, match=r"recipe.validation: cells of fractals .* shipped:fractals were trained on"
    ):
        plan(SHIPPED.format(**given))
    assert plan(SHIPPED.format(**{**given, "validation": 0}))
    assert plan(SHIPPED.format(**{**given, "dataset": "digits"}))


TASKS = """
title: Two tasks of one dataset
axes:
  backbone: test_resnet
  weights: random
  method: plain
  seed: 2
tasks:
  a: {{dataset: glyphs, {a}}}
  b: {{dataset: glyphs, {b}}}
recipe:
  steps: 10
  validation: {validation}
methods:
  plain: {{}}
table: {{rows: [method], columns: metric, metrics: [{{metric: a/test/top1}}]}}
profiles:
  offline: {{}}
"""
TAIL = "long_tail: {imbalance: 10}"


@pytest.mark.parametrize(
    ("a", "b", "key"),
    [("sampling_rate: 0.5", "sampling_rate: 0.15", "sampling_rate"), (TAIL, "", "long_tail")],
)
def test_no_task_is_validated_on_rows_that_another_is_trained_on(plan, a, b, key):
    text = TASKS.format(a=a, b=b, validation=0.1)
    with pytest.raises(
        SpecError, match=rf"recipe.validation: the tasks a and b differ in their {key} of glyphs"
    ):
        plan(text)
    assert plan(TASKS.format(a=a, b=b, validation=0))


@pytest.mark.parametrize("drawn", ["", "sampling_rate: 0.5", TAIL])
def test_tasks_that_are_drawn_alike_hold_out_the_same_rows(plan, drawn):
    other = f"{drawn}{', ' if drawn else ''}transforms: {{block-shuffle: {{block: 8}}}}"
    assert plan(TASKS.format(a=drawn, b=other, validation=0.1))


def test_subsets_of_two_rates_hold_out_other_rows():
    # Why it is refused: some rows of one's validation are trained on by the other.
    held = {}
    for rate in (0.5, 0.15):
        drawn = per_class_subset(LABELS, rate, 0, "glyphs")
        held[rate] = [set(rows.tolist()) for rows in holdout(LABELS, drawn, 0.1, 0, "glyphs")]
    assert held[0.15][1] & held[0.5][0]
