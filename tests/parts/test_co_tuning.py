"""Co-Tuning's loss, its relationship and its calibration, each against another computation."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from bench.data.streams import Stream
from bench.errors import UserError
from bench.models.network import Network
from bench.parts.checks.synthetic import SHAPES, synthetic_step
from bench.parts.measurements.calibration import Calibration, expected_gap
from bench.parts.measurements.category_relationship import CategoryRelationship
from bench.parts.penalties.co_tuning import CoTuning
from bench.parts.relationship import (
    LARGEST_SCALE,
    STRENGTHS,
    calibrated,
    direct,
    fitted,
    held_out,
    reverse,
)

CLASSES, SOURCE = 3, 5
ROWS = 90


def drawn(seed: int, rows: int = ROWS) -> tuple[Tensor, Tensor]:
    """Source outputs ``(n, 5)`` that depend on one of three target classes, and that class."""
    draw = np.random.default_rng(seed)
    labels = np.arange(rows) % CLASSES
    means = np.random.default_rng(99).normal(size=(CLASSES, SOURCE))
    outputs = 1.5 * means[labels] + 1.2 * draw.normal(size=(rows, SOURCE))
    return torch.from_numpy(outputs), torch.from_numpy(labels)


def by_scikit_learn(rows: Tensor, labels: Tensor, strength: float) -> np.ndarray:
    learner = LogisticRegression(C=strength, fit_intercept=False, tol=1e-10, max_iter=20_000)
    return learner.fit(rows.numpy(), labels.numpy()).coef_


def loss_at(scale: float, logits: np.ndarray, labels: np.ndarray) -> float:
    return -float(log_softmax(scale * logits, axis=1)[np.arange(len(labels)), labels].mean())


# -- the loss


def test_the_loss_is_the_cross_entropy_with_the_relationship():
    step = synthetic_step(SHAPES[0], CoTuning.needs)
    weight, bias = (step.backbone[f"source_head.{n}"].detach().numpy() for n in ("weight", "bias"))
    relationship = step.measured["category-relationship"]["relationship"].numpy()
    logs = log_softmax(step.features.detach().numpy() @ weight.T + bias, axis=1)
    total = 0.0
    for i, label in enumerate(step.labels.tolist()):
        for s in range(logs.shape[1]):
            total -= relationship[label, s] * logs[i, s]
    expected = 2.3 * total / len(logs)
    assert CoTuning()(step).item() == pytest.approx(expected, rel=1e-12)


def test_the_source_head_trains_by_it():
    step = synthetic_step(SHAPES[0], CoTuning.needs)
    slopes = torch.autograd.grad(
        CoTuning()(step), [step.features, step.backbone["source_head.weight"]]
    )
    assert all(slope.any() for slope in slopes)


# -- the direct approach


def test_the_direct_approach_is_the_mean_prediction_a_class():
    outputs, labels = drawn(0)
    probabilities = torch.softmax(outputs, dim=1)
    found = direct(probabilities, labels, CLASSES + 1).numpy()
    rows = softmax(outputs.numpy(), axis=1)
    for label in range(CLASSES):
        np.testing.assert_allclose(found[label], rows[labels.numpy() == label].mean(axis=0))
    # A class that nothing is known of is like the rows are.
    np.testing.assert_allclose(found[CLASSES], rows.mean(axis=0))


# -- the reverse approach


@pytest.mark.parametrize("strength", [100.0, 1.0, 0.01])
def test_the_learner_is_scikit_learns(strength):
    outputs, labels = drawn(1)
    rows = torch.softmax(outputs, dim=1)
    found = fitted(rows, labels, CLASSES, strength)
    expected = by_scikit_learn(rows, labels, strength)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_the_scale_is_that_of_the_least_loss():
    outputs, labels = drawn(2)
    for factor in (0.2, 1.0, 6.0):
        logits = factor * outputs[:, :CLASSES]
        best = minimize_scalar(
            loss_at, args=(logits.numpy(), labels.numpy()), bounds=(1e-3, 1e3), method="bounded",
            options={"xatol": 1e-10},
        ).x  # fmt: skip
        assert calibrated(logits, labels) == pytest.approx(best, rel=1e-5)


def test_where_no_scale_is_the_best_it_is_the_largest():
    logits = torch.eye(3, dtype=torch.float64)
    assert calibrated(logits, torch.arange(3)) == pytest.approx(LARGEST_SCALE)


def test_the_reverse_approach_is_bayes_rule_on_what_was_learnt():
    train, validation = (
        (torch.softmax(outputs, dim=1), labels) for outputs, labels in (drawn(3), drawn(4, 45))
    )
    # The released code's way, step by step: of equal accuracies the first of its list.
    learners = {c: by_scikit_learn(*train, c) for c in STRENGTHS}
    held, labels = validation[0].numpy(), validation[1].numpy()
    accuracies = {
        c: float(((held @ coefficients.T).argmax(axis=1) == labels).mean())
        for c, coefficients in learners.items()
    }
    strength = max(accuracies, key=lambda c: (accuracies[c], c))
    logits = held @ learners[strength].T
    scale = minimize_scalar(
        loss_at, args=(logits, labels), bounds=(1e-3, 1e3), method="bounded",
        options={"xatol": 1e-9},
    ).x  # fmt: skip
    marginal = np.concatenate([train[0].numpy(), held]).mean(axis=0)
    expected = np.zeros((CLASSES, SOURCE))
    for s in range(SOURCE):
        of_target = softmax(scale * learners[strength][:, s])
        for t in range(CLASSES):
            expected[t, s] = of_target[t] * marginal[s]
    expected /= expected.sum(axis=1, keepdims=True)

    found = reverse(train, validation, CLASSES)
    assert found.strength == strength
    assert found.accuracy == pytest.approx(accuracies[strength])
    assert found.scale == pytest.approx(scale, rel=1e-3)
    np.testing.assert_allclose(found.relationship.numpy(), expected, rtol=2e-3, atol=1e-5)
    np.testing.assert_allclose(found.relationship.sum(dim=1).numpy(), 1.0)


def test_where_every_row_is_told_apart_a_class_without_rows_has_a_relationship_too():
    labels = torch.arange(8) % 2
    rows = torch.eye(SOURCE, dtype=torch.float64)[labels]
    found = reverse((rows, labels), (rows, labels), 3)
    assert found.scale == pytest.approx(LARGEST_SCALE)
    assert torch.isfinite(found.relationship).all()
    np.testing.assert_allclose(found.relationship.sum(dim=1).numpy(), 1.0)
    np.testing.assert_allclose(found.relationship[:2, :2].numpy(), np.eye(2), atol=1e-6)


def test_each_class_gives_its_share_for_validation():
    labels = np.repeat([0, 1, 2, 3], [20, 5, 2, 1])
    apart = held_out(labels, 0.2, Stream(0))
    assert np.bincount(labels[apart], minlength=4).tolist() == [4, 1, 1, 0]
    again = held_out(labels, 0.2, Stream(1))
    assert not np.array_equal(apart, again)


# -- what is measured


class Given:
    """A network whose outputs are its inputs, and rows to measure it on."""

    dataset = "given"
    device = torch.device("cpu")

    def __init__(
        self,
        outputs: Tensor,
        labels: Tensor,
        classes: int,
        head: bool = True,
        tasks: tuple[str, ...] = ("",),
    ) -> None:
        self.rows = outputs.float(), labels
        self.classes = classes
        self._head = head
        self._tasks = tasks

    def network(self, role: str) -> Network:
        backbone = nn.Identity()
        backbone.num_features = SOURCE
        network = Network(backbone, dict.fromkeys(self._tasks, SOURCE), name="identity")
        with torch.no_grad():
            for head in network.heads.values():
                head.weight.copy_(torch.eye(SOURCE) if self._head else torch.zeros(5, 5))
        return network.eval()

    def batches(self, split: str, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        inputs, labels = self.rows
        yield from zip(inputs.split(batch_size), labels.split(batch_size), strict=True)

    def stream(self, *name: object) -> Stream:
        return Stream(5)


def test_the_measurement_is_of_the_calibrated_predictions():
    outputs, labels = drawn(5)
    given = Given(outputs, labels, CLASSES)
    part = CategoryRelationship(source_scale=0.5)
    probabilities = torch.softmax(0.5 * given.rows[0].double(), dim=1)
    apart = torch.from_numpy(held_out(labels.numpy(), 0.2, Stream(5)))
    expected = reverse(
        (probabilities[~apart], labels[~apart]), (probabilities[apart], labels[apart]), CLASSES
    )
    found = part(given)
    assert found.arrays["relationship"].equal(expected.relationship)
    assert found.arrays["scale"].item() == expected.scale
    entropy = -(expected.relationship * expected.relationship.log()).sum(dim=1).mean().item()
    assert found.metrics["relationship/entropy"] == pytest.approx(entropy)
    plain = CategoryRelationship(approach="direct")(given).arrays["relationship"]
    uncalibrated = torch.softmax(given.rows[0].double(), dim=1)
    assert plain.equal(direct(uncalibrated, labels, CLASSES))


def test_a_start_of_one_task_has_its_head_and_of_several_none():
    outputs, labels = drawn(6)
    part = CategoryRelationship(approach="direct")
    named, unnamed = (
        part(Given(outputs, labels, CLASSES, tasks=tasks)).arrays["relationship"]
        for tasks in (("birds",), ("",))
    )
    assert named.equal(unnamed)
    with pytest.raises(UserError, match="it has one for each of birds, cars"):
        part(Given(outputs, labels, CLASSES, tasks=("birds", "cars")))


def test_a_start_without_a_head_and_classes_of_one_image_are_errors():
    outputs, labels = drawn(6)
    with pytest.raises(UserError, match="it came without one"):
        CategoryRelationship()(Given(outputs, labels, CLASSES, head=False))
    single = Given(outputs[:3], labels[:3], CLASSES)
    with pytest.raises(UserError, match="no class has two training images"):
        CategoryRelationship()(single)
    assert CategoryRelationship(approach="direct")(single).arrays["relationship"].shape == (3, 5)


def test_calibration_finds_the_factor_that_outputs_were_spoilt_by():
    draw = np.random.default_rng(7)
    outputs = 2 * draw.normal(size=(4000, SOURCE))
    chances = softmax(outputs, axis=1).cumsum(axis=1)
    labels = torch.from_numpy((draw.uniform(size=(4000, 1)) > chances).sum(axis=1))
    found = Calibration()(Given(torch.from_numpy(3 * outputs), labels, SOURCE)).metrics
    assert found["scale"] == pytest.approx(1 / 3, rel=0.1)
    assert found["scaled_loss"] < found["loss"]
    assert found["scaled_expected_gap"] < 0.03 < found["expected_gap"]
    with pytest.raises(UserError, match="with 5 outputs cannot be calibrated on given"):
        Calibration()(Given(torch.from_numpy(outputs), labels, 4))


def test_the_expected_gap_by_hand():
    # Two rows at confidence .9, one of them right; one at .6, right.
    logits = torch.log(torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]], dtype=torch.float64))
    found = expected_gap(logits, torch.tensor([0, 1, 1]), 10)
    assert found == pytest.approx((2 * abs(0.5 - 0.9) + abs(1 - 0.6)) / 3)
