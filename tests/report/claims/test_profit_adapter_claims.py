"""PROFIT on adapters and on VTAB-1k: its claims on the paper's own means, worked out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.report.claims.reported import evaluate_reported
from bench.spec.paper import load_paper, load_reported

FOLDER = Path(__file__).parents[3] / "suites" / "profit"
# Tables 7 and 3, in points.
EXPECTED = {
    "adapters-learn-more-by-gradients": (0.45, 0.53, 0.61, 0.77, 0.59),
    "conv-adapter-beats-all-parameters": (0.56,),
    "transformers-learn-less-with-adapters": (-0.65, -0.96, -0.42, -0.87),
    "warmed-up-is-as-good-on-1000-images": (
        0.5, 2.8, 5.3, 11.7, 2.3, 2.0, 13.2, 5.2, 0.0, 1.4, 0.4, 24.2, 6.1, 10.2, 15.1, 24.8, 2.6,
        7.0, 6.0,
    ),
    "without-warm-up-is-worse": (
        -10.0, -32.1, -12.9, 5.2, -36.1, -67.8, -1.1, -0.4, -41.9, -40.7, -0.4, -43.7, -20.7,
        -20.6, 12.0, -47.3, -22.1, -2.1, -18.4,
    ),
}  # fmt: skip
WITHOUT_NUMBERS = {"adapters-learn-more-by-steps", "warmed-up-is-as-good-by-gradients"}


@pytest.fixture(scope="module")
def found():
    reported = load_reported(FOLDER)
    assert reported is not None
    asked = [c for c in load_paper(FOLDER).claims if c.suite in ("adapters", "vtab")]
    return {claim.id: evaluate_reported(claim, reported) for claim in asked}


def test_each_claim_holds_in_the_papers_own_numbers_or_has_none(found) -> None:
    assert {name: outcome.told for name, outcome in found.items()} == {
        **dict.fromkeys(EXPECTED, "holds"),
        **dict.fromkeys(WITHOUT_NUMBERS, "cannot be told"),
    }


@pytest.mark.parametrize("claim", EXPECTED)
def test_differences_are_those_of_the_tables(claim: str, found) -> None:
    # Differences are against the claim's number: at least as good is more than a tenth below.
    number = -0.1 if claim == "warmed-up-is-as-good-on-1000-images" else 0.0
    points = [value + number for value in found[claim].differences.values()]
    assert sorted(points) == pytest.approx(sorted(EXPECTED[claim]), abs=1e-9)
