"""Labels at once: areas as scikit-learn has them, the loss by its definition, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from bench.errors import DataError
from bench.parts.checks.random_data import Facts
from bench.parts.objectives.multi_label import MultiLabel

DRAW = np.random.default_rng(4)
TARGETS = (DRAW.random((60, 3)) < [0.2, 0.5, 0.7]).astype(np.float32)
# Rounded, so that there are ties.
OUTPUTS = np.round(DRAW.normal(size=(60, 3)) + TARGETS, 1).astype(np.float32)


def test_areas_are_by_label_and_their_mean_is_over_all():
    found = MultiLabel(labels={"oedema": 2, "fracture": 0}).scores(OUTPUTS, TARGETS)
    areas = [roc_auc_score(TARGETS[:, k], OUTPUTS[:, k]) for k in range(3)]
    assert found["auc-oedema"] == pytest.approx(areas[2], abs=1e-12)
    assert found["auc-fracture"] == pytest.approx(areas[0], abs=1e-12)
    assert found["auc"] == pytest.approx(np.mean(areas), abs=1e-12)
    assert set(found) == {"auc", "auc-oedema", "auc-fracture", "loss"}
    assert set(found) == set(MultiLabel(labels={"oedema": 2, "fracture": 0}).metric_names())


def test_the_loss_is_the_binary_cross_entropy():
    said = 1 / (1 + np.exp(-OUTPUTS.astype(np.float64)))
    expected = -(TARGETS * np.log(said) + (1 - TARGETS) * np.log(1 - said)).mean()
    scored = MultiLabel().scores(OUTPUTS, TARGETS)["loss"]
    learnt = MultiLabel().loss(torch.from_numpy(OUTPUTS), torch.from_numpy(TARGETS)).item()
    assert scored == pytest.approx(expected, rel=1e-12)
    assert learnt == pytest.approx(expected, rel=1e-6)
    assert np.isfinite(MultiLabel().scores(1e4 * OUTPUTS, TARGETS)["loss"])


def test_outputs_that_are_not_finite_have_no_area():
    broken = OUTPUTS.copy()
    broken[3, 1] = np.inf
    found = MultiLabel().scores(broken, TARGETS)
    # What reads the metrics says so; a training ends there.
    assert np.isnan(found["auc"])


@pytest.mark.parametrize(("value", "said"), [(0, "is 0 in all 60 rows"), (1, "is 1 in all")])
def test_a_label_without_both_classes_is_an_error_that_names_it(value, said):
    alike = TARGETS.copy()
    alike[:, 2] = value
    with pytest.raises(DataError, match=f"the label oedema {said}"):
        MultiLabel(labels={"oedema": 2}).scores(OUTPUTS, alike)
    with pytest.raises(DataError, match="the label of column 2"):
        MultiLabel().scores(OUTPUTS, alike)


def test_targets_are_zeros_and_ones():
    with pytest.raises(DataError, match="zeros and ones"):
        MultiLabel().scores(OUTPUTS, TARGETS + 0.5)
    with pytest.raises(DataError, match="these are classes"):
        MultiLabel().width(Facts(3, ()))
    with pytest.raises(DataError, match=r"of shape \(4, 2\)"):
        MultiLabel().width(Facts(None, (4, 2)))
    assert MultiLabel(labels={"last": 4}).width(Facts(None, (5,))) == 5


def test_names_are_of_columns_that_there_are_and_of_one_each():
    with pytest.raises(DataError, match="the label last is column 5, and there are 5"):
        MultiLabel(labels={"last": 5}).width(Facts(None, (5,)))
    with pytest.raises(ValueError, match="two labels are of one column"):
        MultiLabel(labels={"a": 1, "b": 1})
