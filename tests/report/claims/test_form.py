"""What a claim asks, in words: every field of a claim is in them."""

from __future__ import annotations

from typing import Any

import pytest

from bench.report.claims.form import form_sentences, form_text, reading_name
from bench.report.claims.verdict import evaluate
from bench.spec.claims import At, Claim

from ..studies import Study, study

PAIR = {"axis": "method", "pairs": [["l2+bss", "l2"]]}
RATES = {"axis": "sampling_rate", "pairs": [[0.15, 1.0]]}
FORMS: dict[str, tuple[dict[str, Any], str]] = {
    "a contrast": (
        {},
        "test/top1: L2+BSS − L2. At every sampling rate. Asked of each comparison. "
        "Supported above 0 points, refuted below.",
    ),
    "a contrast of contrasts": (
        {"compare": [PAIR, RATES]},
        "test/top1: L2+BSS − L2, and of that the difference 15% − 100%. "
        "Supported above 0 points, refuted below.",
    ),
    "a difference taken off": (
        {"compare": [{**PAIR, "less": [["l2", "l2+bss"]]}], "where": {"sampling_rate": 0.15}},
        "test/top1: (L2+BSS − L2) − (L2 − L2+BSS). At sampling rate 15%. "
        "Supported above 0 points, refuted below.",
    ),
    "a value": (
        {"compare": [], "number": 50, "by": 2, "expect": "less", "where": {"method": "l2"}},
        "test/top1: the value itself. At method L2, at every sampling rate. "
        "Asked of each comparison. Supported below 48 points, refuted above.",
    ),
    "an equality of means": (
        {"expect": "equal", "by": 1, "mean_over": ["sampling_rate"]},
        "test/top1: L2+BSS − L2. Averaged over sampling rate, seed by seed. "
        "Supported within 1 point of 0, refuted farther away.",
    ),
    "what matters": (
        {"matters": 1, "of": "mean"},
        "test/top1: L2+BSS − L2. At every sampling rate. "
        "Asked of the mean of all comparisons, seed by seed. "
        "Supported above 0 points, refuted below 1 point, the smallest difference that matters.",
    ),
    "a number of them": (
        {"of": {"at-least": 2}},
        "test/top1: L2+BSS − L2. At every sampling rate. Asked of at least 2 comparisons. "
        "Supported above 0 points, refuted below.",
    ),
    "most of them": (
        {"of": "most"},
        "test/top1: L2+BSS − L2. At every sampling rate. "
        "Asked of more than half of the comparisons, 2 of 2. "
        "Supported above 0 points, refuted below.",
    ),
    "a log area": (
        {"metric": "train/loss", "at": {"area": [0, 9], "scale": "log"},
         "readings": [{"step": 3}, {"step": "end"}], "of": "mean"},
        "Mean of train/loss over steps 0 to 9, step s weighing 1/(s + 1): L2+BSS − L2. "
        "At every sampling rate. Asked of the mean of all comparisons, seed by seed. "
        "Supported above 0, refuted below.",
    ),
    "a step": (
        {"metric": "train/loss", "at": {"step": 3}, "of": "mean"},
        "train/loss at step 3: L2+BSS − L2. At every sampling rate. "
        "Asked of the mean of all comparisons, seed by seed. Supported above 0, refuted below.",
    ),
    "what this profile has alone": (
        {"compare": [{"axis": "method", "pairs": [["elsewhere", "l2"], ["l2+bss", "l2"]]}],
         "where": {"sampling_rate": [0.15, 0.3]}},
        "test/top1: L2+BSS − L2. At sampling rate 15%. Supported above 0 points, refuted below.",
    ),
}  # fmt: skip


def claim(**fields: Any) -> Claim:
    given = {
        "id": "a", "text": "A.", "source": "Table 1", "suite": "table1", "compare": [PAIR],
        "expect": "greater", "refuted_by": "It does not.",
    }  # fmt: skip
    return Claim.model_validate({**given, **fields})


def made() -> Study:
    return study(labels={"method": {"l2": "L2", "l2+bss": "L2+BSS"}})


@pytest.mark.parametrize("name", FORMS)
def test_a_form_says_all_that_a_claim_asks(name: str) -> None:
    fields, expected = FORMS[name]
    results = made().results
    assert form_text(evaluate(claim(**fields), results), results.plan) == expected


def test_where_it_comes_from_and_how_else_it_is_read_follow() -> None:
    results = made().results
    curve = {
        "metric": "train/loss", "at": {"area": [0, 9]}, "readings": [{"step": 3}, {"step": "end"}],
        "derived_from": "Something weaker.",
    }  # fmt: skip
    assert form_sentences(evaluate(claim(**curve), results), results.plan)[1:] == [
        "Refuted by: It does not.",
        "Derived from: Something weaker.",
        "Other readings: step 3, end.",
    ]


def test_readings_have_names_of_their_own() -> None:
    ats = [
        At(step=3), At(step="end"), At(area=(0, 3)), At(area=(0, 3), scale="log"), At(area=(1, 3)),
    ]  # fmt: skip
    assert len({reading_name(at) for at in ats}) == len(ats)
    assert reading_name(None) == ""
