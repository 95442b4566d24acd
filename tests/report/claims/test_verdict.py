"""From records to verdicts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bench.records.record import Curve
from bench.report.claims import text
from bench.report.claims.form import asked_text, form_text
from bench.report.claims.verdict import Verdict, evaluate, verdicts
from bench.report.claims.verdict_json import verdict_json
from bench.report.results import Results
from bench.spec.claims import Claim

from ..studies import PAPER, Study, study

SEEDS = list(range(6))
BASE = np.array([0.50, 0.53, 0.47, 0.55, 0.52, 0.49])
GAIN = np.array([0.02, 0.03, 0.01, 0.02, 0.04, 0.03])


def claim(**fields: object) -> Claim:
    given: dict[str, object] = {
        "id": "bss-helps", "text": "BSS helps.", "source": "Table 1", "suite": "table1",
        "compare": [{"axis": "method", "pairs": [["l2+bss", "l2"]]}],
        "expect": "greater", "refuted_by": "It does not.",
    }  # fmt: skip
    return Claim.model_validate({**given, **fields})


def ask(made: Study, **fields: object) -> Verdict:
    return evaluate(claim(**fields), made.results)


@pytest.fixture
def made() -> Study:
    """Six seeds; BSS gains at 15% and nothing at 100%."""
    made = study({"seed": SEEDS}, labels={"method": {"l2": "L2", "l2+bss": "L2+BSS"}})
    made.record(BASE, method="l2", sampling_rate=0.15)
    made.record(BASE + GAIN, method="l2+bss", sampling_rate=0.15)
    made.record(BASE + 0.2, method="l2", sampling_rate=1.0)
    made.record(BASE + 0.2 + GAIN[::-1] - GAIN, method="l2+bss", sampling_rate=1.0)
    return made


def test_a_comparison_is_paired_by_seed_and_in_the_unit(made: Study) -> None:
    found = ask(made, where={"sampling_rate": 0.15})
    assert found.outcome == "supported"
    assert found.decision is not None
    (test,) = found.decision.tests
    expected = stats.ttest_rel(BASE + GAIN, BASE, alternative="greater")
    assert test.t == pytest.approx(expected.pvalue)
    # All six gains are above zero; sign flips have the larger p.
    assert test.p_support == test.sign_flip == 2**-6
    assert test.estimate.mean == pytest.approx(100 * GAIN.mean())
    assert found.p == test.p_support


def test_each_place_has_to_hold(made: Study) -> None:
    found = ask(made)
    assert found.outcome == "undecided"
    assert [c.name for c in found.compared] == ["15%, L2+BSS − L2", "100%, L2+BSS − L2"]
    assert found.holding == 1
    assert text.holding_text(found) == "1/2"
    assert text.deciding(found)[0].name == "100%, L2+BSS − L2"


def test_a_difference_of_differences_is_that_of_each_seed(made: Study) -> None:
    found = ask(
        made,
        compare=[
            {"axis": "method", "pairs": [["l2+bss", "l2"]]},
            {"axis": "sampling_rate", "pairs": [[0.15, 1.0]]},
        ],
    )
    gains = GAIN - (GAIN[::-1] - GAIN)
    assert found.decision is not None
    assert list(found.compared[0].values.values()) == pytest.approx(list(100 * gains))
    assert found.decision.tests[0].t == pytest.approx(
        stats.ttest_1samp(gains, 0, alternative="greater").pvalue
    )
    assert found.compared[0].name == "L2+BSS − L2, 15% − 100%"


def test_means_are_made_seed_by_seed(made: Study) -> None:
    for fields in ({"mean_over": ["sampling_rate"]}, {"of": "mean"}):
        (compared,) = ask(made, **fields).compared
        expected = 100 * (GAIN + GAIN[::-1] - GAIN) / 2
        assert list(compared.values.values()) == pytest.approx(list(expected))


def test_a_value_is_compared_with_a_number(made: Study) -> None:
    where = {"sampling_rate": 0.15, "method": "l2"}
    found = ask(made, compare=[], number=45.0, where=where)
    assert found.outcome == "supported"
    assert found.decision is not None
    assert found.decision.tests[0].t == pytest.approx(
        stats.ttest_1samp(100 * BASE, 45, alternative="greater").pvalue
    )
    assert ask(made, compare=[], number=60.0, where=where).outcome == "refuted"
    around = {"compare": [], "number": 51.0, "expect": "equal", "where": where}
    assert ask(made, **around, by=5.0).outcome == "supported"


def test_a_metric_may_be_the_difference_of_two(made: Study) -> None:
    for planned in made.cells(sampling_rate=0.15):
        with_bss = planned.labels["method"] == "l2+bss"
        top1 = BASE[planned.seed] + with_bss * GAIN[planned.seed]
        made.put(planned.cell, {"test/top1": top1, "validation/top1": 0.5})
    asked = {"metric": "test/top1 - validation/top1", "where": {"sampling_rate": 0.15}}
    found = ask(made, **asked)
    assert found.outcome == "supported"
    assert found.shown is not None
    assert found.shown.unit == "%"
    assert list(found.compared[0].values.values()) == pytest.approx(list(100 * GAIN))
    (alone,) = ask(made, **asked | {"compare": [], "number": 0.0}).compared[:1]
    assert list(alone.values.values()) == pytest.approx(list(100 * (BASE - 0.5)))
    # A seed without one of the two has no difference.
    made.put(made.cells(sampling_rate=0.15, method="l2", seed=2)[0].cell, {"test/top1": 0.5})
    assert list(ask(made, **asked).compared[0].values) == [0, 1, 3, 4, 5]


def test_a_margin_is_in_the_unit(made: Study) -> None:
    where = {"sampling_rate": 0.15}
    assert ask(made, where=where, by=0.9).outcome == "supported"
    assert ask(made, where=where, by=2.0).outcome == "undecided"


def test_seeds_that_only_one_side_has_do_not_count(made: Study) -> None:
    made.lose("failed", method="l2", sampling_rate=0.15, seed=0)
    made.lose("missing", method="l2+bss", sampling_rate=0.15, seed=3)
    found = ask(made, where={"sampling_rate": 0.15})
    assert set(found.compared[0].values) == {1, 2, 4, 5}
    assert found.partial
    assert text.outcome_text(found) == f"{found.outcome} (partial)"


def test_fewer_than_two_pairs_anywhere_are_no_verdict(made: Study) -> None:
    for seed in SEEDS[1:]:
        made.lose("missing", method="l2", sampling_rate=1.0, seed=seed)
    found = ask(made)
    assert (found.outcome, found.decision) == ("not run", None)
    assert found.reason == ("fewer than two seeds in 1 of 2 comparisons: 100%, L2+BSS − L2")
    assert ask(made, where={"sampling_rate": 0.15}).outcome == "supported"


def test_a_long_list_of_what_is_missing_is_cut() -> None:
    made = study({"sampling_rate": [0.1, 0.2, 0.3, 0.4, 0.5]})
    assert ask(made).reason == (
        "fewer than two seeds in 5 of 5 comparisons: 10%, l2+bss − l2; 20%, l2+bss − l2; "
        "30%, l2+bss − l2; and 2 more"
    )


def test_one_planned_seed_is_said_to_be_too_few() -> None:
    assert ask(study({"seed": [0]})).reason == "one seed is planned, and a verdict needs two"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"profiles": ["paper", "other"]}, "asked in profile paper and other only"),
        ({"where": {"dataset": "cub"}}, "this profile has no such cells"),
        ({"of": {"at-least": 3}}, "it asks for 3 comparisons, and this profile has 2"),
        (
            {"metric": "train/loss", "at": {"step": 11}},
            "it looks at step 11, and cells have 10 here",
        ),
    ],
)
def test_what_a_profile_cannot_be_asked_is_not_run(
    made: Study, fields: dict[str, object], reason: str
) -> None:
    found = ask(made, **fields)
    assert (found.outcome, found.reason) == ("not run", reason)


def test_curves_are_compared_at_a_step(made: Study) -> None:
    for planned in made.cells(sampling_rate=0.15):
        record = made.records[planned.cell.id]
        start = 0.5 if planned.labels["method"] == "l2" else 0.7
        curve = Curve((0, 2, 5), (start, start + 0.001 * int(planned.labels["seed"]), 0.9))
        outcome = replace(record.outcome, curves={"anytime/test/top1": curve})
        made.records[planned.cell.id] = replace(record, outcome=outcome)
    fields = {"metric": "anytime/test/top1", "where": {"sampling_rate": 0.15}}
    early = ask(made, at={"step": 1}, **fields)
    # The same difference at six seeds: decided by flipping signs.
    assert early.outcome == "supported"
    assert early.p == 2**-6
    assert ask(made, at={"step": 5}, **fields).outcome == "undecided"


def test_only_claims_about_the_suite_are_evaluated_in_the_papers_order(made: Study) -> None:
    other = claim(id="other", suite="table9")
    proved = Claim(id="p", text="P.", source="eq. 1", proved_by="tests/a.py::b")
    paper = PAPER.model_copy(update={"claims": (claim(id="b"), other, proved, claim(id="a"))})
    plan = replace(made.plan, paper=paper)
    assert [v.claim.id for v in verdicts(Results(plan, made.records, made.states))] == ["b", "a"]
    assert evaluate(proved, Results(plan, {}, {})).outcome == "proved"
    unbuilt = Claim(id="n", text="N.", source="Figure 1", not_rebuilt="Not yet.")
    assert evaluate(unbuilt, Results(plan, {}, {})).reason == "Not yet."


def test_the_texts_of_a_verdict(made: Study) -> None:
    found = ask(made)
    assert text.estimate_text(found) == "0.00 ± 1.15 points"
    assert text.remark(found) == (
        "p and estimate of 100%, L2+BSS − L2; not within 1,000 seeds as it looks"
    )
    refuted = ask(made, expect="less", where={"sampling_rate": 0.15})
    assert refuted.outcome == "refuted"
    assert text.estimate_text(refuted) == "+2.50 ± 1.10 points"
    assert refuted.p == 2**-6


def test_where_the_tests_disagree_the_remark_says_so(made: Study) -> None:
    # One gain of six is at the margin of a point: by flipping signs 2/64, by t 1.4%.
    found = ask(made, where={"sampling_rate": 0.15}, by=1.0)
    assert found.outcome == "undecided"
    assert "tests disagree: by t alone supported, by sign flips alone undecided" in text.remark(
        found
    )
    assert "disagree" not in text.remark(ask(made, where={"sampling_rate": 0.15}))


def test_a_difference_is_shown_as_it_is_and_not_less_what_it_is_held_against(made: Study) -> None:
    made.record(BASE - 0.2 * GAIN, method="l2+bss", sampling_rate=0.15)
    found = ask(made, where={"sampling_rate": 0.15}, number=-1.0)
    # 0.5 points lower on average, and significantly so: no worse by a point all the same.
    assert found.outcome == "supported"
    assert text.estimate_text(found) == "−0.50 ± 0.22 points"
    assert asked_text(found.claim) == "> −1"
    assert text.remark(found) == "within the margin, yet significantly below 0"
    assert verdict_json(found)["comparisons"][0]["mean"] == pytest.approx(-0.5)
    assert found.compared[0].name == "L2+BSS − L2"


def test_what_does_not_hold_is_not_within_the_margin() -> None:
    made = study({"seed": list(range(8))})
    gain = np.array([0.02, 0.03, 0.01, 0.02, 0.04, 0.03, 0.02, 0.01])
    for rate, gains in ((0.15, gain), (1.0, -gain)):
        made.record([0.5] * 8, method="l2", sampling_rate=rate)
        made.record(0.5 + gains, method="l2+bss", sampling_rate=rate)
    found = ask(made, of={"at-least": 1})
    assert (found.outcome, found.holding, len(found.compared)) == ("supported", 1, 2)
    assert found.estimates[1].high < 0
    assert "within the margin" not in text.remark(found)


def test_a_value_alone_has_no_sign_of_a_difference(made: Study) -> None:
    where = {"sampling_rate": 0.15, "method": "l2"}
    found = ask(made, compare=[], number=45.0, where=where)
    assert text.estimate_text(found).startswith("51.00 ± ")
    assert asked_text(found.claim) == "> 45"


def test_what_is_refuted_by_what_matters_alone_says_so(made: Study) -> None:
    where = {"sampling_rate": 1.0}
    found = ask(made, where=where, matters=4.0)
    assert (found.outcome, found.without_matters) == ("refuted", "undecided")
    assert text.remark(found) == (
        "refuted by the smallest difference that matters (> 0, refuted < 4), without it undecided"
    )
    # What is refuted with and without needs no such word.
    made.record(BASE + 0.2 - GAIN, method="l2+bss", sampling_rate=1.0)
    below = ask(made, where=where, matters=4.0)
    assert (below.outcome, below.without_matters, text.remark(below)) == ("refuted", "refuted", "")


def test_what_would_decide_names_its_comparison_and_the_verdict(made: Study) -> None:
    """The shown p is that of the tie; what would decide is the other, and against the claim."""
    made.record(BASE + 0.2, method="l2+bss", sampling_rate=1.0)
    noisy = np.array([0.02, -0.05, 0.01, -0.04, 0.02, -0.04])
    made.record(BASE + noisy, method="l2+bss", sampling_rate=0.15)
    made.record(BASE + 0.2 + np.array([0.001, -0.001] * 3), method="l2+bss", sampling_rate=1.0)
    found = ask(made, expect="greater")
    assert found.outcome == "undecided"
    assert found.outlook is not None
    assert (found.outlook.outcome, found.outlook.comparison) == ("refuted", 0)
    assert f"about {found.outlook.seeds} seeds would decide: refuted" in text.remark(found)
    other = ask(made, expect="less")
    assert text.deciding(other)[0].name == "100%, L2+BSS − L2"
    assert text.remark(other).startswith("p and estimate of 100%, L2+BSS − L2; ")


CURVE_METRIC = "anytime/test/top1"


def curved(made: Study, late: float) -> Study:
    """Give BSS curves that begin five points above L2's, and end ``late`` above them."""
    for planned in made.cells(sampling_rate=0.15):
        seed, bss = int(planned.labels["seed"]), planned.labels["method"] == "l2+bss"
        early, end = (0.05, late) if bss else (0.0, 0.0)
        own = 0.001 * seed * bss
        curve = Curve((0, 2, 5), (0.5 + early + own, 0.6 + early + own, 0.7 + end + own))
        record = made.records[planned.cell.id]
        outcome = replace(record.outcome, curves={CURVE_METRIC: curve})
        made.records[planned.cell.id] = replace(record, outcome=outcome)
    return made


READ = {
    "metric": CURVE_METRIC,
    "where": {"sampling_rate": 0.15},
    "at": {"area": [0, 5], "scale": "log"},
    "readings": [{"area": [0, 5]}, {"step": "end"}, {"step": 50}],
}


def test_a_verdict_that_depends_on_the_reading_says_so(made: Study) -> None:
    found = ask(curved(made, -0.05), **READ)
    outcomes = [each.outcome for each in found.readings]
    assert (found.outcome, outcomes) == ("supported", ["supported", "refuted", "not run"])
    assert found.robust is False
    assert text.remark(found) == (
        "depends on the reading: supported by log area 0–5, refuted by end"
    )
    assert [each["verdict"] for each in verdict_json(found)["readings"]] == outcomes


def test_a_verdict_that_every_reading_gives_says_by_which(made: Study) -> None:
    found = ask(curved(made, 0.05), **READ)
    assert found.robust is True
    assert text.remark(found) == "the same by log area 0–5 and by area 0–5, end"
    assert ask(made, where={"sampling_rate": 0.15}).robust is None


def test_json_has_every_comparison_and_no_infinity(made: Study) -> None:
    found = ask(made)
    data = verdict_json(found, made.plan)
    assert (data["verdict"], data["deciding"]) == ("undecided", 1)
    assert [c["n"] for c in data["comparisons"]] == [6, 6]
    first = data["comparisons"][0]
    assert first["sign_flip_p"] == 2**-6
    assert first["low"] < first["mean"] < first["high"]
    assert data["compare"] == [{"axis": "method", "pairs": [["l2+bss", "l2"]], "less": []}]
    assert data["form"] == form_text(found, made.plan)
    assert verdict_json(ask(made, profiles=["paper"]))["p"] is None


def test_labels_that_are_alike_do_not_make_comparisons_one() -> None:
    made = study(labels={"sampling_rate": {"0.15": "some", "1.0": "some"}})
    names = [each.name for each in ask(made).compared]
    assert names == ["0.15, l2+bss − l2", "1.0, l2+bss − l2"]
