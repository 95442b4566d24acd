"""``--only``: which cells are meant, and what is said of what is not there."""

from __future__ import annotations

import pytest

from bench.errors import SpecError
from bench.spec.excerpt import excerpt_of, excerpted
from tests.spec.conftest import SUITE

# A stage at each seed, from which half of the table starts.
STAGED = """
title: From a stage
stages:
  source: {weights: random, dataset: glyphs-source, sampling_rate: 1, method: plain}
axes:
  backbone: test_resnet
  weights: [random, "stage:source"]
  dataset: digits
  sampling_rate: [0.15, 0.3, 1]
  method: [plain, l2]
  seed: 3
recipe: {steps: 10}
methods:
  plain: {}
  l2: {penalties: {l2: {weight: 1e-3}}}
profiles: {offline: {}}
"""


def take(plan, *words):
    (found,) = excerpted([plan], excerpt_of(words))
    return found


def labels(plan, *axes):
    return {tuple(planned.labels[axis] for axis in axes) for planned in plan.shown}


@pytest.mark.parametrize(
    ("words", "axis", "kept"),
    [
        (["method=l2"], "method", {"l2"}),
        (["method=plain,l2"], "method", {"plain", "l2"}),
        (["method=plain", "method=l2"], "method", {"plain", "l2"}),
        (["seed=0:2"], "seed", {0, 1}),
        (["seed=1:"], "seed", {1, 2}),
        (["seed=:1"], "seed", {0}),
        (["seed=0,2"], "seed", {0, 2}),
        (["seed=2:9"], "seed", {2}),
        (["sampling_rate=0.30"], "sampling_rate", {0.3}),
        (["sampling_rate=1.0"], "sampling_rate", {1}),
        (["sampling_rate=0.2:1"], "sampling_rate", {0.3}),
        (["sampling_rate=1e-1:0.3,1"], "sampling_rate", {0.15, 1}),
        # Written like a range, and none.
        (["weights=stage:source"], "weights", {"stage:source"}),
    ],
)
def test_values_and_ranges(plan, words, axis, kept):
    whole = plan(STAGED)
    found = take(whole, *words)
    assert {value for (value,) in labels(found, axis)} == kept
    # Of the other axes everything stays.
    others = [a for a in whole.suite.axes if a != axis]
    assert labels(found, *others) <= labels(whole, *others)
    assert len(found.shown) == sum(p.labels[axis] in kept for p in whole.shown)


def test_axes_are_taken_together(plan):
    found = take(plan(STAGED), "method=l2", "seed=0:2", "sampling_rate=1")
    assert labels(found, "method", "seed", "sampling_rate") == {("l2", 0, 1), ("l2", 1, 1)}


def test_what_the_cells_start_from_comes_along_and_nothing_else(plan):
    whole = plan(STAGED)
    assert [p.cell.seed for p in whole.behind] == [0, 1, 2]
    found = take(whole, "seed=1", "weights=stage:source")
    assert [p.cell.seed for p in found.behind] == [1]
    assert {parent.id for p in found.shown for parent in p.cell.parents.values()} == {
        p.cell.id for p in found.behind
    }
    assert not take(whole, "weights=random").behind
    # In the plan's order: parents before children.
    ids = [planned.cell.id for planned in whole.cells]
    assert [p.cell.id for p in found.cells] == sorted(found.unique(), key=ids.index)


def test_a_cell_of_the_table_that_another_starts_from_is_behind_it(plan):
    """A stage that is the very cell of another place."""
    text = STAGED.replace("dataset: glyphs-source", "dataset: digits")
    text = text.replace("sampling_rate: [0.15, 0.3, 1]", "sampling_rate: 1")
    whole = plan(text)
    assert not whole.behind
    found = take(whole, "weights=stage:source", "method=l2")
    assert labels(found, "weights", "method") == {("stage:source", "l2")}
    assert [(p.cell.seed, p.labels) for p in found.behind] == [(0, {}), (1, {}), (2, {})]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["metod=l2"], "there is no axis 'metod'\n  did you mean 'method'?"),
        (["dataset=glyph"], "dataset has no value 'glyph' here\n  did you mean 'glyphs'?"),
        (["method=plain,12"], "method has no value '12' here"),
        (["seed=5:"], "seed has no value '5:' here\n  one of: 0, 1"),
        (["seed=:"], "seed has no value ':' here"),
        (["seed=0:x"], "seed has no value '0:x' here"),
        (["seed"], "'seed' is not AXIS=VALUES\n  write it like method="),
        (["seed="], "'seed=' is not AXIS=VALUES"),
        (["=3"], "'=3' is not AXIS=VALUES"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(plan, words, told):
    with pytest.raises(SpecError) as raised:
        take(plan(SUITE), *words)
    assert str(raised.value).startswith(f"--only: {told}")


def test_values_that_are_never_at_one_place(plan):
    when = "when:\n  - {dataset: digits, method: l2, exclude: true}\n"
    text = SUITE.replace("profiles:", f"{when}profiles:")
    with pytest.raises(SpecError, match="no cell has all of: dataset=digits method=l2"):
        take(plan(text), "dataset=digits", "method=l2")


def test_a_truth_value_is_not_a_number(plan):
    axis = "recipe.augmentation.flip"
    text = SUITE.replace("sampling_rate:", f"{axis}: [true, false]\n  sampling_rate:")
    assert labels(take(plan(text), f"{axis}=true"), axis) == {(True,)}
    with pytest.raises(SpecError, match=f"{axis} has no value '1' here"):
        take(plan(text), f"{axis}=1")


def test_of_several_suites_one_may_lack_what_another_has(suite):
    from bench.spec.plan import load_plan

    few = load_plan(suite(SUITE.replace("[glyphs, digits]", "glyphs"), "few"))
    many = load_plan(suite(SUITE, "many"))
    assert [p and len(p.shown) for p in excerpted([few, many], excerpt_of(["dataset=digits"]))] == [
        None,
        8,
    ]
    with pytest.raises(SpecError, match="dataset has no value 'digit'"):
        excerpted([few, many], excerpt_of(["dataset=glyphs,digit"]))


def test_an_excerpt_has_a_name_of_its_own_in_whatever_order_it_is_written():
    one = excerpt_of(["method=l2", "seed=0:3"])
    assert one.name == excerpt_of(["seed=0:3", "method=l2"]).name
    assert one.name != excerpt_of(["method=l2", "seed=0:4"]).name
    assert one.options == ("--only", "method=l2", "--only", "seed=0:3")
    assert excerpt_of([]) is None
