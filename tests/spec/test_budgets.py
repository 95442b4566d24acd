"""A claim's budget, and where its curves are read: what can be known wrong before anything runs."""

from __future__ import annotations

import textwrap

import pytest

from bench.errors import SpecError
from bench.spec.plan import load_plan

SUITE = """
title: Old and new
axes:
  budget: [steps, gradients]
  backbone: test_resnet
  weights: random
  dataset: [glyphs, digits]
  sampling_rate: 0.15
  method: [plain, walk, far-walk]
  seed: 2
recipe:
  steps: 60
  optimizer: {sgd: {lr: 0.1}}
  validation: 0.1
  validate_every: 10
methods:
  plain: {}
  walk: {update: {profit: {}}}
  far-walk: {update: {profit: {n_ref: 2}}}
when:
  - {budget: gradients, method: walk, recipe: {steps: 30, validate_every: 5}}
  - {budget: gradients, method: far-walk, recipe: {steps: 20, validate_every: 4}}
profiles:
  offline: {}
"""
CLAIM = """
id: test
title: A test
claims:
  - id: walks-help
    text: A walk helps.
    source: Table 1
    suite: table
    compare: [{axis: method, pairs: [[walk, plain]]}]
    where: {budget: steps}
    expect: greater
    refuted_by: It does not.
"""


@pytest.fixture
def load(suite):
    """A function that loads the suite beside the claim, with keys more and others in its place."""

    def load(more: str = "", old: str = "", new: str = "", text: str = SUITE):
        file = suite(text)
        assert old in CLAIM
        claim = CLAIM.replace(old, new) + textwrap.indent(textwrap.dedent(more).strip("\n"), "    ")
        (file.parent / "paper.yaml").write_text(claim + "\n")
        return load_plan(file)

    return load


def test_gradients_are_planned_from_steps_and_the_updates_own_parameter(load):
    plan = load()
    found = {(p.place["budget"], p.place["method"]): plan.gradients[p.cell.id] for p in plan.shown}
    assert found == {
        ("steps", "plain"): 60, ("steps", "walk"): 120, ("steps", "far-walk"): 180,
        ("gradients", "plain"): 60, ("gradients", "walk"): 60, ("gradients", "far-walk"): 60,
    }  # fmt: skip


@pytest.mark.parametrize("budget", ["steps", "gradients"])
def test_what_both_sides_have_equally_many_of_passes(load, budget):
    (claim,) = load(f"budget: {budget}", "{budget: steps}", f"{{budget: {budget}}}").paper.claims
    assert claim.budget == budget


def test_unequal_gradients_are_told_with_both_cells_and_numbers(load):
    with pytest.raises(SpecError) as raised:
        load("budget: gradients")
    said = str(raised.value)
    assert "claims.0.budget: walks-help is by gradients" in said
    assert "budget steps, dataset glyphs, method walk is planned with 120" in said.replace(
        "backbone test_resnet, weights random, ", ""
    ).replace("sampling_rate 0.15, ", "")
    assert "method plain with 60 gradients" in said


def test_unequal_steps_are_told(load):
    with pytest.raises(SpecError, match=r"walk is planned with 30, .*plain with 60 steps"):
        load("budget: steps", "{budget: steps}", "{budget: gradients}")


def test_a_claim_without_a_budget_is_not_held_to_one(load):
    load(old="{budget: steps}", new="{budget: gradients}")


@pytest.mark.parametrize("order", ["method first", "budget first"])
def test_all_four_cells_of_a_difference_of_differences_have_it(load, order):
    method = "{axis: method, pairs: [[walk, far-walk]]}"
    budget = "{axis: budget, pairs: [[gradients, steps]]}"
    both = [method, budget] if order == "method first" else [budget, method]
    for by in ("steps", "gradients"):
        with pytest.raises(SpecError, match=f"is by {by}, and"):
            load(
                f"budget: {by}",
                "compare: [{axis: method, pairs: [[walk, plain]]}]\n    where: {budget: steps}",
                f"compare: [{', '.join(both)}]",
            )


def test_pairs_that_are_taken_off_have_it_too(load):
    less = "[[walk, plain]], less: [[far-walk, plain]]"
    with pytest.raises(
        SpecError, match=r"method walk is planned with 120, .*plain with 60 gradients"
    ):
        load(
            "budget: gradients",
            "[[walk, plain]]}]\n    where: {budget: steps}",
            f"{less}}}]\n    where: {{budget: steps}}",
        )
    load("budget: steps", "[[walk, plain]]", less)


def test_an_update_that_does_not_say_what_it_takes_has_no_gradients(load, tmp_path):
    (tmp_path / "mine.py").write_text(
        '@update("mine")\nclass Mine(Update):\n    gradients_per_step: ClassVar[str] = ""\n'
    )
    text = SUITE.replace("profit: {}", "mine: {}") + "plugins: [mine.py]\n"
    with pytest.raises(SpecError, match=r"nothing says how many .*method walk takes"):
        load("budget: gradients", text=text)
    load("budget: steps", text=text)


def test_a_budget_is_one_of_two_sides(load):
    with pytest.raises(SpecError, match="a budget is one of two sides: it needs compare"):
        load(
            "budget: steps\nnumber: 50",
            "    compare: [{axis: method, pairs: [[walk, plain]]}]\n",
            "",
        )


CURVE = "metric: train/loss\nbudget: gradients\n"
EQUAL = ("{budget: steps}", "{budget: gradients}")


@pytest.mark.parametrize("at", ["{step: 20}", "{area: [0, 20]}"])
def test_at_a_step_the_sides_have_not_paid_as_many_gradients(load, at):
    more = f"{CURVE}at: {at}\nreadings: [{{step: end}}]"
    with pytest.raises(SpecError, match=r"claims.0.at: .*a step is not one and the same number"):
        load(more, *EQUAL)
    with pytest.raises(SpecError, match=r"claims.0.at: .*a step is not one and the same number"):
        load(f"{CURVE}at: {{step: end}}\nreadings: [{at}]", *EQUAL)


def test_at_the_end_they_have(load):
    load(f"{CURVE}at: {{step: end}}", *EQUAL)


REACHES = """
metric: train/loss
at: {curve: validation/top1, reaches: 50}
readings: [{curve: validation/top1, reaches: 60}, {step: end}]
"""


def test_a_value_that_another_curve_reaches_is_read_as_it_is_written(load):
    (claim,) = load(REACHES).paper.claims
    assert (claim.at.curve, claim.at.reaches) == ("validation/top1", 50)
    assert claim.at.name == "validation/top1 50"


def test_validations_equally_far_apart_in_gradients_may_be_compared(load):
    load(REACHES, *EQUAL)


def test_other_validations_may_not(load):
    old = "[[walk, plain]]}]\n    where: {budget: steps}"
    with pytest.raises(SpecError) as raised:
        load(REACHES, old, "[[far-walk, plain]]}]\n    where: {budget: gradients}")
    said = str(raised.value)
    assert "claims.0.at: walks-help reads where a curve first reaches a value" in said
    assert "far-walk is validated every 4 steps" in said
    assert "plain every 10 steps: more points reach it sooner" in said


WRONG = {
    "a curve alone": ("at: {curve: validation/top1}", "need each other"),
    "a value alone": ("at: {reaches: 50}", "need each other"),
    "a value and a step": (
        "at: {curve: validation/top1, reaches: 50, step: 3}",
        "is either a step, an area, or where another curve reaches a value",
    ),
    "no number": ("at: {curve: validation/top1, reaches: high}", "valid number"),
    "no other reading": (
        "at: {curve: validation/top1, reaches: 50}",
        r"one reading of several: name others, such as readings: \[\{curve: validation/top1, "
        r"reaches: 50\}, \{step: end\}\]",
    ),
    "the metric's own curve": (
        "at: {curve: train/loss, reaches: 1}\nreadings: [{step: end}]",
        "claims.0.at: reads train/loss where it is itself 1",
    ),
    "no curve": (
        "at: {curve: validation/top2, reaches: 1}\nreadings: [{step: end}]",
        "claims.0.at: 'validation/top2' is not a curve",
    ),
    "no curve of another reading": (
        "at: {step: end}\nreadings: [{curve: validation/top2, reaches: 1}]",
        "claims.0.at: 'validation/top2' is not a curve",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_reading_that_cannot_be_is_an_error(load, wrong):
    at, said = WRONG[wrong]
    with pytest.raises(SpecError, match=said):
        load(f"metric: train/loss\n{at}")


COLUMNS = """table:
  rows: [dataset, budget, method]
  columns: metric
  metrics:
    - {metric: test/top1}
    - {metric: train/loss, at: {curve: validation/top1, reaches: 50}, label: loss at half}
    - {metric: train/loss, at: {step: end}}
"""


def test_a_column_may_be_of_a_curve(load):
    metrics = load(text=SUITE + COLUMNS).suite.metrics
    assert [(m.name, m.unit, m.best) for m in metrics] == [
        ("test/top1", "%", "highest"),
        ("train/loss at validation/top1 50", "", "lowest"),
        ("train/loss at end", "", "lowest"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("at: {step: end}", "at: {step: 0.5}", "step"),
        ("validation/top1", "validation/top3", r"table.metrics.1.at: 'validation/top3' is not a c"),
        ("validation/top1", "train/loss", r"table.metrics.1.at: reads train/loss where it is"),
        ("metric: train/loss, at: {step: end}", "metric: test/top1, at: {step: end}", "test/top1"),
        ("{step: end}", "{curve: validation/top1, reaches: 50}", "stands there twice"),
    ],
)
def test_a_column_of_no_such_curve_is_an_error(load, old, new, said):
    with pytest.raises(SpecError, match=said):
        load(text=SUITE + COLUMNS.replace(old, new))
