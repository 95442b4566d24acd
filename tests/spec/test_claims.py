"""Claims in paper.yaml: what may be said, and each mistake's one message."""

from __future__ import annotations

import textwrap

import pytest

from bench.errors import SpecError
from bench.spec.claims import Claim, Pairs
from bench.spec.plan import load_plan

from .conftest import SUITE

PAPER = "id: test\ntitle: A test\nclaims:\n"
CLAIM = """
  - id: l2-helps
    text: L2 helps.
    source: Table 1
    suite: table
    compare: [{axis: method, pairs: [[l2, plain]]}]
    where: {dataset: glyphs}
    expect: greater
    refuted_by: It does not.
"""
TWO_PROFILES = SUITE.replace(
    "  offline: {}",
    "  offline: {}\n  rates:\n    axes: {sampling_rate: [0.5, 1.0]}\n    recipe: {validation: 0.1}",
)


@pytest.fixture
def load(suite):
    """A function that writes a suite beside claims, and loads a profile of it."""

    def load(claims: str = CLAIM, text: str = TWO_PROFILES, profile: str = "offline"):
        file = suite(text)
        body = textwrap.indent(textwrap.dedent(claims).strip("\n"), "  ")
        (file.parent / "paper.yaml").write_text(PAPER + body + "\n")
        return load_plan(file, profile)

    return load


def with_(old: str, new: str) -> str:
    assert old in CLAIM
    return CLAIM.replace(old, new)


def test_a_claim_is_read_as_it_is_written(load):
    (claim,) = load().paper.claims
    assert claim.kind == "tested"
    assert claim.where == {"dataset": ("glyphs",)}
    assert claim.compare[0].pairs == (("l2", "plain"),)
    assert (claim.of, claim.quorum(9), claim.by, claim.number) == ("each", None, 0.0, None)


def test_at_least_is_a_number_of_comparisons(load):
    (claim,) = load(with_("expect: greater", "expect: greater\n    of: {at-least: 2}")).paper.claims
    assert claim.quorum(9) == 2


@pytest.mark.parametrize(("total", "needed"), [(1, 1), (2, 2), (3, 2), (15, 8), (16, 9)])
def test_most_are_more_than_half(load, total, needed):
    (claim,) = load(with_("expect: greater", "expect: greater\n    of: most")).paper.claims
    assert claim.quorum(total) == needed


def test_proved_and_not_rebuilt_claims_need_no_cells(load):
    text = """
    - {id: a, text: A., source: eq. 1, proved_by: "tests/test_a.py::test_a"}
    - {id: b, text: B., source: Figure 1, not_rebuilt: Not built yet.}
    - {id: c, text: C., source: Table 9, suite: table9, not_rebuilt: "No.", expect: greater,
       metric: other, compare: [{axis: task, pairs: [[x, y]]}]}
    """
    kinds = [claim.kind for claim in load(text).paper.claims]
    assert kinds == ["proved", "not rebuilt", "not rebuilt"]


SHAPES = {
    "no expectation": (with_("    expect: greater\n", ""), r"claims.0: needs expect, or proved_by"),
    "no refutation": (with_("    refuted_by: It does not.\n", ""), "needs refuted_by"),
    "an unknown key": (with_("expect:", "expects:"), r"expects: unknown key\n.*'expect'"),
    "an unknown expectation": (with_("greater", "bigger"), r"expect: .*'greater'.*'bigger'"),
    "proof and cells": (CLAIM + "    proved_by: a test\n", "not about cells: remove suite"),
    "proof and none": (
        with_("refuted_by: It does not.", "proved_by: x\n    not_rebuilt: y"),
        "exclude each other",
    ),
    "a value without a number": (
        with_("    compare: [{axis: method, pairs: [[l2, plain]]}]\n", ""),
        r"compares values \(compare\), or a value with a number",
    ),
    "equality without tolerance": (with_("greater", "equal"), "tolerance, by > 0"),
    "what matters below the margin": (
        with_("greater", "greater\n    by: 1\n    matters: 0.5"),
        "matters is above by",
    ),
    "an axis selected twice": (
        with_("{dataset: glyphs}", "{method: l2}"),
        "method is compared: its pairs select its values",
    ),
    "the seed": (with_("{dataset: glyphs}", "{seed: 0}"), "the seed is what repeats"),
    "a value against itself": (with_("[l2, plain]", "[l2, l2]"), "'l2' is compared with itself"),
    "two contrasts of one axis": (
        with_("[{axis", "[{axis: method, pairs: [[l2, plain]]}, {axis"),
        "two contrasts need two axes",
    ),
    "two ids": (CLAIM + CLAIM, "two claims have the id 'l2-helps'"),
    "a step and an area": (
        with_("expect", "at: {step: 3, area: [0, 5]}\n    metric: train/loss\n    expect"),
        "either a step, an area, or where another curve reaches a value",
    ),
    "an area backwards": (
        with_("expect", "at: {area: [5, 0]}\n    metric: train/loss\n    expect"),
        "begins before it ends",
    ),
    "an area without another reading": (
        with_("expect", "at: {area: [0, 5]}\n    metric: train/loss\n    expect"),
        r"an area is one reading of several: name others.*\[\{area: \[0, 5\]\}",
    ),
    "a reading twice": (
        with_(
            "expect",
            "at: {step: 5}\n    readings: [{step: 5}]\n    metric: train/loss\n    expect",
        ),
        "readings differ from at",
    ),
    "readings of no curve": (with_("expect", "readings: [{step: 5}]\n    expect"), "they need at"),
    "a step that is none": (
        with_("expect", "at: {step: last}\n    metric: train/loss\n    expect"),
        r"at.step: .*a number of steps, or end \(given: 'last'\)",
    ),
    "fewer taken off than there are pairs": (
        with_("[[l2, plain]]", "[[l2, plain], [plain, l2]], less: [[l2, plain]]"),
        "less has 1 pairs, and pairs 2",
    ),
    "a pair taken off itself": (
        with_("[[l2, plain]]", "[[l2, plain]], less: [[l2, plain]]"),
        r"the pair \['l2', 'plain'\] is taken off from itself: name another in less",
    ),
    "a pair that a mean would count twice": (
        with_("[[l2, plain]]}]", "[[l2, plain], [l2, plain]]}]\n    of: mean"),
        r"the pair \['l2', 'plain'\] stands there twice",
    ),
    "a value taken off itself": (
        with_("[[l2, plain]]", "[[l2, plain]], less: [[l2, l2]]"), "'l2' is compared with itself",
    ),
    "a unit": (
        with_("expect", 'unit: "%"\n    expect'),
        r"claims.0.unit: unknown key",
    ),
    "a curve less another": (
        with_("expect", "at: {step: 3}\n    metric: train/loss - train/loss\n    expect"),
        "at needs a metric: the name of one curve",
    ),
    "a curve without a name": (with_("expect", "at: {step: 3}\n    expect"), "at needs a metric"),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_a_claim_that_says_too_much_or_too_little(load, name):
    text, message = SHAPES[name]
    with pytest.raises(SpecError, match=message) as error:
        load(text)
    assert "paper.yaml:" in str(error.value)


NAMES = {
    "a suite": ("suite: table", "suite: tabel", r"suite: there is no suite 'tabel'.*\n.*'table'"),
    "a profile": (
        "suite: table", "suite: table\n    profiles: [ofline]",
        r"profiles: there is no profile 'ofline'\n.*'offline'",
    ),
    "an axis": (
        "{dataset: glyphs}", "{datasets: glyphs}",
        r"where: 'datasets' is not an axis of table\n.*'dataset'",
    ),
    "a compared axis": (
        "{axis: method,", "{axis: methods,", r"compare: 'methods' is not an axis of table",
    ),
    "a value that is taken off": (
        "[[l2, plain]]", "[[l2, plain]], less: [[l2, plane]]",
        "compare: 'plane' is not a value of method",
    ),
    "an averaged axis": (
        "expect", "mean_over: [rate]\n    expect", r"mean_over: 'rate' is not an axis of table",
    ),
    "a value": (
        "[l2, plain]", "[l2, plane]",
        r"compare: 'plane' is not a value of method in any profile of table\n.*'plain'",
    ),
    "a rate": (
        "{dataset: glyphs}", "{sampling_rate: 0.2}",
        r"where: 0.2 is not a value of sampling_rate in any profile",
    ),
    "a metric": (
        "expect", "metric: test/top_1\n    expect",
        r"metric: 'test/top_1' is not a metric\n.*'test/top1'",
    ),
    "a curve": (
        "expect", "metric: test/top5\n    at: {step: 2}\n    expect",
        r"metric: 'test/top5' is not a curve",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_nothing_has(load, name):
    old, new, message = NAMES[name]
    text = with_(old, new)
    with pytest.raises(SpecError, match=message) as error:
        load(text)
    key = message.partition(":")[0]
    written = (PAPER + textwrap.indent(textwrap.dedent(text).strip("\n"), "  ")).splitlines()
    line = next(i for i, shown in enumerate(written, 1) if shown.strip().startswith(f"{key}:"))
    assert f"paper.yaml:{line}: claims.0.{key}:" in str(error.value)


def test_a_value_of_another_profile_is_one(load):
    assert load(with_("{dataset: glyphs}", "{sampling_rate: 0.5}"))


def test_a_claim_that_selects_no_cell_in_any_profile_is_an_error(load):
    # Both rates exist, but in no profile side by side.
    text = with_("method, pairs: [[l2, plain]]", "sampling_rate, pairs: [[1.0, 0.15]]")
    for profile in ("offline", "rates"):
        with pytest.raises(SpecError, match="selects no cell of table in any profile"):
            load(text, profile=profile)


def test_excluded_cells_are_not_selected(load):
    excluded = TWO_PROFILES.replace(
        "profiles:", "when:\n  - {dataset: glyphs, method: plain, exclude: true}\nprofiles:"
    )
    with pytest.raises(SpecError, match="selects no cell"):
        load(CLAIM, excluded)


def test_a_claim_of_one_profile_is_asked_there_only(load):
    text = with_("{dataset: glyphs}", "{sampling_rate: 0.5}\n    profiles: [offline]")
    assert load(text, profile="rates")
    with pytest.raises(SpecError, match="selects no cell"):
        load(text)


def test_more_comparisons_than_any_profile_has_cannot_be_asked_for(load):
    # Glyphs at two rates: two comparisons.
    for count, fine in ((2, True), (3, False)):
        text = with_("expect: greater", f"expect: greater\n    of: {{at-least: {count}}}")
        if fine:
            assert load(text)
        else:
            with pytest.raises(SpecError, match="of: selects fewer than 3 comparisons"):
                load(text)


def test_a_metric_that_is_never_measured_is_an_error_of_that_profile(load):
    text = with_("expect", "metric: validation/top1\n    expect")
    assert load(text, profile="rates")
    with pytest.raises(SpecError, match=r"metric: validation/top1 is never measured in table"):
        load(text)
    assert load(text.replace("suite: table", "suite: table\n    profiles: [rates]"))


def test_a_difference_of_metrics_needs_both_and_one_unit(load):
    text = with_("expect", "metric: test/top1 - test/top5\n    expect")
    assert load(text)
    for wrong, message in (
        ("test/top1 - test/top9", r"metric: 'test/top9' is not a metric"),
        ("test/top9 - test/top1", r"metric: 'test/top9' is not a metric"),
        ("test/top1 - test/loss", r"metric: is a difference of metrics of different units"),
        ("test/top1 - validation/top1", r"metric: validation/top1 is never measured in table"),
    ):
        with pytest.raises(SpecError, match=message):
            load(text.replace("test/top1 - test/top5", wrong))


OF_GLYPHS = """
when:
  - {rate: high, dataset: glyphs, recipe: {optimizer: {sgd: {lr: 0.5}}}}
  - {method: third, dataset: glyphs, methods: {third: {penalties: {l2: {weight: 0.1}}}}}
"""
ACTS_ON_GLYPHS = (
    TWO_PROFILES.replace("seed: 2", "seed: 2\n  rate: [low, high]")
    .replace("[plain, l2]", "[plain, l2, third]")
    .replace("  plain: {}", "  plain: {}\n  third: {penalties: {l2: {weight: 1e-3}}}")
    + OF_GLYPHS
)
RATES = "axis: rate, pairs: [[high, low]]"


def comparing(contrast: str, where: str = "", of: str = "each") -> str:
    text = with_("axis: method, pairs: [[l2, plain]]", contrast)
    return text.replace("    where: {dataset: glyphs}\n", f"    of: {of}\n    {where}\n")


@pytest.mark.parametrize(
    "where", ["", "mean_over: [dataset]", "where: {dataset: [glyphs, digits]}"]
)
def test_no_cell_is_compared_with_itself(load, where):
    with pytest.raises(
        SpecError,
        match=r"compare: compares cells with themselves: rate high and rate low do the same at .*"
        r"dataset digits",
    ) as error:
        load(comparing(RATES, where), ACTS_ON_GLYPHS)
    assert "where" in (error.value.remedy or "")


def test_a_difference_is_compared_where_there_is_one(load):
    assert load(comparing(RATES, "where: {dataset: glyphs}"), ACTS_ON_GLYPHS)


def test_the_first_contrast_of_two_needs_two_cells_everywhere(load):
    by_dataset = "axis: dataset, pairs: [[glyphs, digits]]"
    with pytest.raises(
        SpecError, match="rate high, dataset digits and rate low, dataset digits do"
    ):
        load(comparing(f"{RATES}}}, {{{by_dataset}"), ACTS_ON_GLYPHS)
    assert load(comparing(f"{by_dataset}}}, {{{RATES}"), ACTS_ON_GLYPHS)


def test_a_pair_less_one_of_the_same_cells_is_nothing(load):
    # On digits the third method is L2.
    less = "axis: method, pairs: [[l2, plain]], less: [[third, plain]]"
    with pytest.raises(SpecError, match=r"compares cells with themselves: .* dataset digits"):
        load(comparing(less), ACTS_ON_GLYPHS)
    # The base, which both have, may cancel.
    assert load(comparing(less, "where: {dataset: glyphs}"), ACTS_ON_GLYPHS)


def test_a_mean_of_a_pair_and_its_reverse_is_nothing(load):
    both = "axis: method, pairs: [[l2, plain], [plain, l2]]"
    with pytest.raises(SpecError, match="compare: takes off all that it adds"):
        load(comparing(both, of="mean"))
    assert load(comparing(both))


def test_no_seed_has_one_cell_on_both_sides(load):
    # At seed 0 both sources are one.
    stages = """stages:
  fixed: {dataset: fractals, method: plain, seed: 0}
  drawn: {dataset: fractals, method: plain}
"""
    text = TWO_PROFILES.replace("weights: random", 'weights: ["stage:fixed", "stage:drawn"]')
    with pytest.raises(SpecError, match="compares cells with themselves: weights stage:drawn and"):
        load(comparing('axis: weights, pairs: [["stage:drawn", "stage:fixed"]]'), text + stages)
    assert load(
        comparing('axis: weights, pairs: [["stage:drawn", "stage:fixed"]]'),
        text + stages.replace("seed: 0", "seed: 9"),
    )


def test_one_pair_may_be_compared_with_several():
    pairs = {"axis": "a", "pairs": [["x", "y"], ["x", "y"]], "less": [["z", "y"], ["u", "y"]]}
    assert len(Pairs.model_validate(pairs).choices) == 2


def test_one_value_stands_for_a_list():
    given = {"id": "a", "text": "A.", "source": "s", "not_rebuilt": "no", "where": {"x": 1}}
    assert Claim.model_validate(given).where == {"x": (1,)}
