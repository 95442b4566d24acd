from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics

from bench.parts.objectives.classification import Classification


@pytest.mark.parametrize("classes", [3, 5, 20])
def test_metrics_are_those_of_scikit_learn(classes: int) -> None:
    draw = np.random.default_rng(classes)
    logits = draw.normal(size=(400, classes)).astype(np.float32) * 3
    labels = draw.integers(0, classes - 1, 400)  # one class never occurs
    ours = Classification().scores(logits, labels)
    shifted = np.exp(logits.astype(np.float64))
    chances = shifted / shifted.sum(1, keepdims=True)
    every = np.arange(classes)
    assert ours["top1"] == metrics.accuracy_score(labels, logits.argmax(1))
    assert ours["mean_class_accuracy"] == pytest.approx(
        metrics.recall_score(
            labels, logits.argmax(1), labels=np.unique(labels), average="macro", zero_division=0
        )
    )
    assert ours["loss"] == pytest.approx(metrics.log_loss(labels, chances, labels=every))
    k = min(5, classes)
    expected = (
        1.0 if k == classes else metrics.top_k_accuracy_score(labels, logits, k=k, labels=every)
    )
    assert ours["top5"] == pytest.approx(expected)


def test_equal_logits_go_to_the_lower_class() -> None:
    ours = Classification().scores(np.zeros((4, 8)), np.array([0, 1, 4, 5]))
    assert ours["top1"] == 0.25
    assert ours["top5"] == 0.75
    assert ours["loss"] == pytest.approx(math.log(8))


def test_large_logits_do_not_overflow() -> None:
    ours = Classification().scores(np.array([[1e4, 0.0], [0.0, 1e4]], np.float32), np.array([0, 0]))
    assert ours["loss"] == pytest.approx(5e3)
