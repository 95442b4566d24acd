"""FAST's claims on the paper's own reported means: Table 1 says what the facts say."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.report.claims.reported import evaluate_reported
from bench.spec.paper import load_paper, load_reported

FOLDER = Path(__file__).parents[3] / "suites" / "fast"
# Differences printed in, or computed by hand from, Table 1: FAST less each baseline's error, high
# to low rate; and for the baselines' own claims the higher rate less the lower one.
EXPECTED = {
    "fast-least-top1-error": {
        "cifar-100": (-10.01, -4.17, -1.27),
        "caltech-256": (-5.64, -0.74, -1.58),
    },
    "fast-least-top5-error": {
        "cifar-100": (-4.29, -1.84, -0.60),
        "caltech-256": (-3.18, -0.42, -0.77),
    },
    "fast-travels-least": {
        "cifar-100": (-112.32, -27.39, -7.13),
        "caltech-256": (-31.92, -2.42, -0.65),
    },
    "lower-rate-travels-less": {"cifar-100": (84.93, 20.26), "caltech-256": (29.50, 1.77)},
    "lower-rate-less-top1-error-cifar": {"cifar-100": (5.84, 2.90)},
    "lower-rate-less-top5-error-cifar": {"cifar-100": (2.45, 1.24)},
    "middle-rate-best-caltech": {"caltech-256": (-0.84, -4.90)},
}


def _claims():
    reported = load_reported(FOLDER)
    assert reported is not None
    return {c.id: evaluate_reported(c, reported) for c in load_paper(FOLDER).claims}


FOUND = _claims()


@pytest.mark.parametrize("claim", EXPECTED)
def test_the_papers_means_say_what_its_table_says(claim: str) -> None:
    found = FOUND[claim]
    assert found.told == "holds"
    for dataset, differences in EXPECTED[claim].items():
        # A claim about one dataset does not repeat its name.
        named = dataset if len(EXPECTED[claim]) > 1 else ""
        shown = [v for name, v in found.differences.items() if name.startswith(named)]
        assert shown == pytest.approx(differences, abs=1e-9), dataset
    assert len(found.differences) == sum(map(len, EXPECTED[claim].values()))


def test_what_figures_alone_show_cannot_be_told_from_numbers() -> None:
    others = {name: found.told for name, found in FOUND.items() if name not in EXPECTED}
    assert set(others.values()) == {"cannot be told"}
    assert len(others) == 32
