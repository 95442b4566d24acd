"""A method of a search that follows another: it has the other's choice, and multiples of it."""

from __future__ import annotations

import pytest

from bench.errors import SpecError
from bench.spec.cell import CHOICE
from bench.spec.plan import load_plan
from bench.spec.tuning import Trial
from bench.spec.work import Choose

SUITE = """
title: A rate and its multiples
axes:
  backbone: test_resnet
  weights: random
  dataset: glyphs
  sampling_rate: [0.5, 1.0]
  method: [middle, low, adam, other]
  seed: 2
recipe: {steps: 10, optimizer: {sgd: {lr: 0.5, momentum: 0.9}}}
methods:
  middle: {}
  low: {penalties: {l2: {weight: 1e-3}}}
  adam: {recipe: {optimizer: {adam: {lr: 1}}}}
  other: {penalties: {l2: {weight: 1e-2}}}
search:
  space: {recipe.optimizer.sgd.lr: [0.01, 0.1]}
  methods:
    low: {recipe.optimizer.sgd.lr: {of: recipe.optimizer.sgd.lr, times: 0.25}}
    adam:
      recipe.optimizer.sgd.lr: null
      recipe.optimizer.adam.lr: {of: recipe.optimizer.sgd.lr, times: 0.01}
  follows: {low: middle, adam: middle}
  per: [method]
  recipe: {validation: 0.25}
profiles:
  offline: {}
"""
CLAIM = """
id: test
title: A test
claims:
  - id: other-is-best
    text: Other is better.
    source: Table 1
    suite: table
    compare: [{axis: method, pairs: [[other, BASE]]}]
    expect: greater
    budget: search
    refuted_by: It is not.
"""


def of_method(plan, method):
    return [planned for planned in plan.shown if planned.place["method"] == method]


def test_what_follows_has_the_others_choice_and_no_trials(suite):
    plan = load_plan(suite(SUITE))
    choices = {
        method: {p.cell.parents[CHOICE].id for p in of_method(plan, method)}
        for method in ("middle", "low", "adam", "other")
    }
    assert choices["low"] == choices["adam"] == choices["middle"]
    assert len(choices["middle"] | choices["other"]) == 2
    # Two methods, two candidates, two sampling rates, three seeds; none is of what follows.
    trials = [p.cell for p in plan.cells if isinstance(p.cell.work, Trial)]
    assert len(trials) == 24
    weights = {u.settings["weight"] for t in trials for u in t.work.penalties}
    assert weights == {1e-2}
    assert {t.recipe.optimizer.sgd.lr for t in trials} == {0.01, 0.1}


def test_it_trains_by_multiples_of_what_is_chosen(suite):
    plan = load_plan(suite(SUITE))
    for planned in of_method(plan, "low"):
        candidates = planned.cell.work.candidates
        assert [c.work.recipe.optimizer.sgd.lr for c in candidates] == [0.0025, 0.025]
        assert {u.settings["weight"] for c in candidates for u in c.work.penalties} == {1e-3}
    for planned in of_method(plan, "adam"):
        recipes = [c.work.recipe for c in planned.cell.work.candidates]
        assert [r.optimizer.adam.lr for r in recipes] == [0.0001, 0.001]
        assert {r.optimizer.sgd for r in recipes} == {None}


def test_its_candidates_are_known_by_what_the_choice_names(suite):
    """Whoever trains compares the two: another candidate's number would be another rate."""
    plan = load_plan(suite(SUITE))
    for planned in plan.shown:
        choose = plan.unique()[planned.cell.parents[CHOICE].id].work
        assert isinstance(choose, Choose)
        own = [dict(c.values) for c in planned.cell.work.candidates]
        assert own == [dict(values) for values in choose.candidates]


def test_at_one_it_trains_as_what_it_follows(suite):
    """And is the same cell: a multiple of one changes nothing."""
    same = SUITE.replace("low: {penalties: {l2: {weight: 1e-3}}}", "low: {penalties: {bss: {}}}")
    plan = load_plan(suite(same.replace("times: 0.25", "times: 1")))
    hand = load_plan(suite(same.replace("    low: {recipe.optimizer.sgd.lr: {of: recipe.optimizer"
                                        ".sgd.lr, times: 0.25}}\n", "")))  # fmt: skip
    assert [p.cell.id for p in plan.shown] == [p.cell.id for p in hand.shown]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("low: middle,", "low: midle,", "the method 'midle' is not defined"),
        ("low: middle,", "lo: middle,", "the method 'lo' is not defined"),
        ("low: middle,", "low: low,", "low has no trials of its own to follow"),
        ("low: middle,", "low: adam,", "adam has no trials of its own to follow"),
        ("per: [method]", "per: [dataset]", "all methods share one choice"),
        ("{of: recipe.optimizer.sgd.lr, times: 0.25}", "[0.1, 0.2]",
         "recipe.optimizer.sgd.lr is no multiple: low follows middle"),
        ("{of: recipe.optimizer.sgd.lr, times: 0.25}", "{of: recipe.batch_size, times: 2}",
         "a multiple of recipe.batch_size, which is not searched itself"),
        ("low: {recipe", "low: {penalties.bss.eta: {of: recipe.optimizer.sgd.lr, times: 1}, recipe",
         "penalties.bss.eta is tried for low, and no penalty bss is there"),
    ],
)  # fmt: skip
def test_what_cannot_follow_is_told_before_anything_runs(suite, old, new, why):
    assert old in SUITE
    with pytest.raises(SpecError, match=why) as raised:
        load_plan(suite(SUITE.replace(old, new)))
    assert raised.value.field.startswith("search")


@pytest.mark.parametrize(("base", "fits"), [("middle", True), ("low", False)])
def test_no_claim_at_equal_tuning_is_of_what_follows(suite, base, fits):
    file = suite(SUITE)
    (file.parent / "paper.yaml").write_text(CLAIM.replace("BASE", base))
    if fits:
        plan = load_plan(file)
        assert {plan.tunings[p.cell.id].followed for p in of_method(plan, "other")} == {None}
        assert {plan.tunings[p.cell.id].followed for p in of_method(plan, "low")} == {"middle"}
    else:
        with pytest.raises(SpecError, match="low follows middle: it has no trials of its own"):
            load_plan(file)
