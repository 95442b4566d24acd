"""Accuracy by groups of classes: against a count by hand, and never a zero for nothing."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from pydantic import ValidationError

from bench.errors import DataError
from bench.parts.kinds import Drawn
from bench.parts.objectives.classification import Classification
from bench.parts.objectives.grouped_classification import GroupedClassification

# Six rows of four classes; what the network says is right in rows 0, 1, 3 and 5.
TARGETS = np.array([0, 0, 1, 2, 2, 3])
SAID = np.array([0, 0, 2, 2, 3, 3])
OUTPUTS = np.eye(4, dtype=np.float32)[SAID]
GROUPS = {"base": (0, 2), "tail": (2, 4), "all": (0, 4)}
SHOTS = {"many": 101, "few": 1, "medium": 20}


def test_a_group_has_the_accuracy_of_its_own_rows():
    found = GroupedClassification(groups=GROUPS).scores(OUTPUTS, TARGETS)
    assert found["top1-base"] == pytest.approx(2 / 3)
    assert found["top1-tail"] == pytest.approx(2 / 3)
    assert found["top1-all"] == found["top1"] == pytest.approx(4 / 6)
    plain = Classification().scores(OUTPUTS, TARGETS)
    assert {name: found[name] for name in plain} == plain


@pytest.mark.parametrize(
    ("counts", "shots"),
    [
        # 101 is above 100 and many, 20 is not below 20 and medium.
        ((101, 100, 20, 19), {"many": 1.0, "medium": 1 / 3, "few": 1.0}),
        ((500, 101, 50, 1), {"many": 2 / 3, "medium": 1 / 2, "few": 1.0}),
    ],
)
def test_classes_are_many_medium_or_few_by_their_training_images(counts, shots):
    knows = GroupedClassification(by_counts=SHOTS).drawn(Drawn(counts, counts))
    found = knows.scores(OUTPUTS, TARGETS)
    assert {name: found[f"top1-{name}"] for name in shots} == pytest.approx(shots)


def test_a_group_of_which_nothing_is_scored_is_an_error_and_no_zero():
    grouped = GroupedClassification(groups=GROUPS)
    with pytest.raises(DataError, match="nothing that is scored is of the group tail"):
        grouped.scores(OUTPUTS[:3], TARGETS[:3])
    counts = (500, 400, 300, 200)
    with pytest.raises(DataError, match="of the group few"):
        GroupedClassification(by_counts=SHOTS).drawn(Drawn(counts, counts)).scores(OUTPUTS, TARGETS)
    with pytest.raises(ValueError, match="need the counts"):
        GroupedClassification(by_counts=SHOTS).scores(OUTPUTS, TARGETS)


def test_groups_are_of_classes_that_there_are():
    with pytest.raises(DataError, match="the group tail is of the classes from 2 up to 4"):
        GroupedClassification(groups=GROUPS).width(SimpleNamespace(classes=3, target_shape=()))
    for wrong in (
        {"groups": {"a": (2, 2)}},
        {"groups": {"a": (1,)}},
        {"by_counts": {"a": 1, "b": 1}},
    ):
        with pytest.raises(ValidationError):
            GroupedClassification(**wrong)
    with pytest.raises(ValidationError, match="base is a group of classes and a group by counts"):
        GroupedClassification(groups=GROUPS, by_counts={"base": 3})
