"""PROFIT (Chakravarthy et al. 2025): its claims on the paper's own printed means.

Differences in points are worked out here by hand from Tables 2, 8 and 9, and which claims hold.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bench.report.claims.reported import evaluate_reported
from bench.spec.paper import load_paper, load_reported

FOLDER = Path(__file__).parents[3] / "suites" / "profit"
# Against SGD, Adam, Lookahead and Adan: ResNet-18, ViT-Tiny, ViT-Small.
NEW = (0.11, 1.59, 0.88, 2.00, 0.22, 3.21, 0.85, 0.58, 0.40, 1.51, 0.17, 1.35)
OLD = (10.77, 0.62, 9.16, 0.09, 4.90, 2.53, 2.89, 5.49, 1.09, 0.42, 1.21, 5.17)
EXPECTED = {
    "learns-more": NEW,
    "keeps-more": OLD,
    "more-reference-steps-learn-less": (-1.13, -2.15, -0.68, -2.53, -0.53, -1.16),
    "five-reference-steps-keep-more-on-resnet": (4.01,),
    "five-reference-steps-keep-less-on-transformers": (-0.19, -2.48),
    "from-random-weights-chance": (0.05,),
}
# The text against its own tables.
AGAINST_ITSELF = {
    "more-reference-steps-keep-more": (-2.71, 4.01, -3.65, -0.19, -0.44, -2.48),
    "larger-reference-rates-learn-more": (0.29, -0.06, 0.34),
    "smaller-reference-rates-keep-more": (0.57, -3.54, -1.57),
}
# Of other budgets, of curves, of what the offline track alone asks, nothing is printed; what is
# exact is proved; and of language no suite is built.
WITHOUT_NUMBERS = {
    "linear-loss-gives-no-step",
    "projection-is-orthogonal",
    "fires-where-gradients-agree",
    "toy-new-domain-is-a-constants",
    "learns-more-by-steps",
    "keeps-more-by-steps",
    "learns-more-by-gradients",
    "keeps-more-by-gradients",
    "keeps-more-with-statistics-re-taken",
    "keeps-more-at-equal-new-accuracy",
    "keeps-more-at-equal-new-accuracy-frozen",
    "more-reference-steps-learn-less-by-gradients",
    "from-random-weights-chance-of-twenty",
    "from-random-weights-behind",
}
REPORTED = load_reported(FOLDER)
PAPER = load_paper(FOLDER)


@pytest.fixture(scope="module")
def found():
    assert REPORTED is not None
    return {c.id: evaluate_reported(c, REPORTED) for c in PAPER.claims}


def test_every_claim_on_images_has_the_outcome_that_its_table_gives(found) -> None:
    ours = {*EXPECTED, *AGAINST_ITSELF, *WITHOUT_NUMBERS}
    assert {name: found[name].told for name in ours} == {
        **dict.fromkeys(EXPECTED, "holds"),
        **dict.fromkeys(AGAINST_ITSELF, "does not hold"),
        **dict.fromkeys(WITHOUT_NUMBERS, "cannot be told"),
    }


@pytest.mark.parametrize("claim", {**EXPECTED, **AGAINST_ITSELF})
def test_differences_are_those_of_the_tables(claim: str, found) -> None:
    expected = {**EXPECTED, **AGAINST_ITSELF}[claim]
    # A difference by network and pair: in which order they are named does not matter.
    assert sorted(found[claim].differences.values()) == pytest.approx(sorted(expected), abs=1e-9)


def test_no_claim_on_images_is_left_out(found) -> None:
    suites = {"old-new", "n-ref", "ratio", "scratch"}
    asked = {claim.id for claim in PAPER.claims if claim.suite in suites}
    assert asked <= {*EXPECTED, *AGAINST_ITSELF, *WITHOUT_NUMBERS}


def test_language_is_not_rebuilt_and_says_why_and_what_is_printed(found) -> None:
    claims = [claim for claim in PAPER.claims if claim.suite in ("drivelm", "drivelm-ratio")]
    assert len(claims) == 7
    assert all(claim.not_rebuilt for claim in claims)
    gains = {claim.metric: found[claim.id].differences for claim in claims}
    assert {name: round(sum(each.values()), 3) for name, each in gains.items()} == {
        "test/accuracy": 5.67,
        "test/gpt-score": 1.55,
        "test/match-score": 1.04,
        "test/bleu-4": 0.016,
        "test/rouge-l": 0.12,
        "test/cider": 0.012,
        "test/final-score": 2.18,
    }


def test_every_number_of_the_tables_is_there() -> None:
    assert REPORTED is not None
    counts: Counter[str] = Counter()
    seen = set()
    for table in REPORTED.tables:
        if table.profile != "paper":
            continue
        for entry in table.entries:
            key = (table.source, table.suite, table.metric, *sorted(entry.where.items()))
            assert key not in seen
            seen.add(key)
            counts[table.source.rpartition(", ")[2]] += 1
    # Table 3's 19 of AdamW stand for its runs with and without a break; half of Table 13 is NOAH's;
    # Table 11's 12 are 6 ratios to Adam's.
    assert counts["appendix C.2.3"] == 1
    assert {name: n for name, n in counts.items() if name.startswith("Table")} == {
        "Table 1": 8, "Table 2": 30, "Table 3": 114, "Table 4": 14, "Table 5": 28, "Table 6": 3,
        "Table 7": 13, "Table 8": 18, "Table 9": 24, "Table 11": 6, "Table 12": 28,
        "Table 13": 19, "Table 14": 20,
    }  # fmt: skip


def test_costs_are_the_printed_ones_over_adams() -> None:
    assert REPORTED is not None
    entries = [
        entry
        for table in REPORTED.tables
        if table.source.endswith("Table 11")
        for entry in table.entries
    ]
    for entry in entries:
        profit, adam = (float(printed) for printed in (entry.note or "").split(" / "))
        assert entry.mean == pytest.approx(profit / adam, abs=0.0005)


def test_rows_that_are_one_run_have_one_number() -> None:
    """Table 2's PROFIT is Table 9's at these ratios, and Table 8's, but for ViT-Tiny there."""
    assert REPORTED is not None
    ratios = {"resnet18": 10, "vit_tiny_patch16_224": 1000, "vit_small_patch16_224": 100}
    for metric in ("test/top1", "source2/top1"):
        means = {
            suite: {
                tuple(e.where.get(a) for a in ("backbone", "method", "n_ref", "ratio")): e.mean
                for t in REPORTED.tables
                if (t.suite, t.metric) == (suite, metric)
                for e in t.entries
            }
            for suite in ("old-new", "n-ref", "ratio")
        }
        for backbone, ratio in ratios.items():
            headline = means["old-new"][backbone, "profit", None, None]
            assert means["ratio"][backbone, None, None, ratio] == headline
            first = means["n-ref"][backbone, None, 1, None]
            tiny = backbone == "vit_tiny_patch16_224"
            assert first == (means["ratio"][backbone, None, None, 100] if tiny else headline)


def test_the_best_constant_has_the_error_that_table_1_prints() -> None:
    """The mean and the variance of sin(10‖x‖) on [0.8, 1.5]², by Gauss and Legendre."""
    nodes, weights = np.polynomial.legendre.leggauss(60)
    at, weights = 0.8 + 0.7 * (nodes + 1) / 2, weights / 2
    values = np.sin(10 * np.hypot(at[:, None], at[None, :]))
    mean, square = (float(weights @ power @ weights) for power in (values, values**2))
    assert square == pytest.approx(0.5055, abs=1e-4)
    assert square - mean**2 == pytest.approx(0.4996, abs=1e-4)
    assert REPORTED is not None
    printed = {
        e.where["method"]: e.mean
        for t in REPORTED.tables
        if (t.suite, t.profile, t.metric) == ("toy", "paper", "mse")
        for e in t.entries
        if e.where["dataset"] == "ripples-new"
    }
    assert printed["full"] == pytest.approx(square - mean**2, abs=0.005)
    assert printed["profit-10"] == pytest.approx(square - mean**2, abs=0.0015)


def test_every_open_question_of_the_protocol_says_what_we_do() -> None:
    asked = [note.text for note in PAPER.notes if re.search("leaves (it|them)? ?open", note.text)]
    for question in ("How the old task", "The new last layer", "An epoch", "Batch size", "Seeds"):
        assert any(text.startswith(question) for text in asked) or question == "Seeds"
    assert all("our choice" in text.lower() for text in asked)
    assert all(note.source for note in PAPER.notes)
