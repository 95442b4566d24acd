"""Cells that say where agents go: the loss by plain arithmetic, the outputs' order and units."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from bench.data import identity
from bench.data.procedural import motion
from bench.data.sources import procedural
from bench.errors import DataError, UserError
from bench.parts.checks.random_data import Facts
from bench.parts.networks.trajectory_attention import TrajectoryAttention
from bench.parts.objectives.trajectories import Trajectories
from bench.spec.catalogue import Rows, entry
from bench.spec.recipe import Adam, Evaluation, Optimizer, Recipe
from bench.training.execute import execute
from tests.training.conftest import Build, left, task, use

OBJECTIVE = Trajectories(modes=3, scale=4.0)


def outputs_of(paths, logits, scale=4.0):
    """Lay paths (n, k, 80, 2) in metres and logits (n, k) out as the head says them."""
    rows = []
    for ways, chances in zip(paths, logits, strict=True):
        numbers = [float(value) / scale for way in ways for point in way for value in point]
        rows.append([*numbers, *map(float, chances)])
    return np.array(rows)


@pytest.fixture
def case():
    """Return three modes for eight agents, and their targets."""
    draw = np.random.default_rng(0)
    targets = motion.split_of("motion-cars", "test", 40).targets[32:].astype(np.float64)
    assert (targets[:, 1:, 5] == 0).any()
    paths = (
        targets[:, None, 1:, :2]
        + draw.normal(0, 1, (8, 3, 80, 2))
        + draw.normal(0, 2, (8, 3, 1, 2))
    )
    return paths, draw.normal(0, 1, (8, 3)), targets


def plain_loss(paths, logits, targets):
    """Return the loss with one loop a mean."""
    losses = []
    for ways, chances, states in zip(paths, logits, targets, strict=True):
        points = [s for s in range(1, 81) if states[s, 5] == 1]
        away = [sum(math.dist(way[s - 1], states[s, :2]) for s in points) for way in ways]
        closest = away.index(min(away))
        errors = [
            abs(ways[closest][s - 1][axis] - states[s, axis]) for s in points for axis in (0, 1)
        ]
        smooth = [0.5 * e * e if e < 1 else e - 0.5 for e in errors]
        normaliser = math.log(sum(math.exp(chance) for chance in chances))
        losses.append(sum(smooth) / len(smooth) + normaliser - chances[closest])
    return sum(losses) / len(losses)


def test_the_loss_is_that_of_plain_arithmetic_in_metres(case):
    paths, logits, targets = case
    outputs = torch.from_numpy(outputs_of(paths, logits))
    found = OBJECTIVE.loss(outputs, torch.from_numpy(targets)).item()
    assert found == pytest.approx(plain_loss(paths, logits, targets), rel=1e-12)
    scores = OBJECTIVE.scores(outputs.numpy(), targets)
    assert scores["loss"] == pytest.approx(found, rel=1e-12)
    one = targets[:, 80, 5] == 1
    ends = np.linalg.norm(paths[:, :, 79] - targets[:, None, 80, :2], axis=2).min(axis=1)
    assert scores["min_fde_8s"] == pytest.approx(ends[one].mean(), rel=1e-12)


def test_what_is_said_of_invalid_states_costs_nothing(case):
    paths, logits, targets = case
    first = torch.from_numpy(outputs_of(paths, logits)).requires_grad_()
    OBJECTIVE.loss(first, torch.from_numpy(targets)).backward()
    gone = (targets[:, 1:, 5] == 0)[:, None, :, None]
    assert not (first.grad[:, :480].numpy().reshape(8, 3, 80, 2) * gone).any()
    other = torch.from_numpy(outputs_of(np.where(gone, 1e4, paths), logits))
    assert OBJECTIVE.loss(other, torch.from_numpy(targets)).item() == pytest.approx(
        OBJECTIVE.loss(first, torch.from_numpy(targets)).item(), rel=1e-12
    )


def test_only_the_closest_modes_path_is_moved(case):
    paths, logits, targets = case
    outputs = torch.from_numpy(outputs_of(paths, logits)).requires_grad_()
    OBJECTIVE.loss(outputs, torch.from_numpy(targets)).backward()
    moved = outputs.grad[:, :480].reshape(8, 3, 160).abs().sum(dim=2) > 0
    assert moved.sum(dim=1).tolist() == [1] * 8
    pulled = outputs.grad[:, 480:] < 0
    assert torch.equal(moved, pulled)


def test_an_agent_without_a_state_to_come_adds_nothing(case):
    paths, logits, targets = case
    outputs = torch.from_numpy(outputs_of(paths, logits))
    before = OBJECTIVE.loss(outputs[:4], torch.from_numpy(targets[:4])).item()
    targets[4:, 1:] = 0
    after = OBJECTIVE.loss(outputs, torch.from_numpy(targets)).item()
    assert after == pytest.approx(before / 2, rel=1e-12)


def test_modes_in_another_order_have_the_same_loss_and_scores(case):
    paths, logits, targets = case
    order = [2, 0, 1]
    first = OBJECTIVE.scores(outputs_of(paths, logits), targets)
    second = OBJECTIVE.scores(outputs_of(paths[:, order], logits[:, order]), targets)
    assert second == pytest.approx(first, rel=1e-12)


def test_data_of_another_kind_or_without_a_state_in_time_are_refused(case):
    paths, logits, targets = case
    for facts in (Facts(3, ()), Facts(None, (2,)), Facts(None, (81, 3)), Facts(None, (91, 6))):
        with pytest.raises(DataError, match="trajectories are"):
            OBJECTIVE.width(facts)
    assert OBJECTIVE.width(Facts(None, (81, 6))) == 3 * 161
    targets[:, 80] = 0
    with pytest.raises(DataError, match="no agent of the split has a valid state at 8 s"):
        OBJECTIVE.scores(outputs_of(paths, logits), targets)


def test_the_network_does_not_see_what_is_not_valid():
    torch.manual_seed(0)
    small = TrajectoryAttention(width=8, heads=2, feedforward=8, queries=2)
    module = small.build((11, 7))
    inputs = torch.from_numpy(motion.split_of("motion-cars", "test", 30).inputs)
    unseen = inputs[..., 6] == 0
    assert unseen.any()
    spoilt = inputs.clone()
    spoilt[..., :6][unseen] = 1e3
    assert torch.allclose(module(spoilt), module(inputs), atol=1e-6)
    seen = inputs.clone()
    seen[:, 3, 0] += 1.0
    changed = (module(seen) - module(inputs)).abs().sum(dim=1) > 1e-6
    assert torch.equal(changed, ~unseen[:, 3])
    # The order of times is seen: embeddings are by time.
    assert not torch.allclose(module(inputs.flip(1)), module(inputs), atol=1e-3)
    with pytest.raises(UserError, match="takes states"):
        small.build((3, 8, 8))
    with pytest.raises(UserError, match="6 heads"):
        TrajectoryAttention(heads=6).build((11, 7))


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the set of cars one of 96 training and 40 test rows."""
    monkeypatch.setitem(procedural.PLANS, "motion-cars", procedural.Plan(1, 96, 40))
    known = entry("motion-cars").model_copy(update={"digest": None, "rows": Rows()})
    monkeypatch.setattr(
        identity, "entry", lambda name: known if name == "motion-cars" else entry(name)
    )


def test_a_cell_learns_and_its_scores_are_those_of_its_predictions(job: Build, few: None) -> None:
    recipe = Recipe(
        steps=25,
        batch_size=32,
        image=None,
        augmentation=None,
        optimizer=Optimizer(adam=Adam(lr=3e-3)),
        evaluation=Evaluation(batch_size=16),
    )
    made = job(
        recipe,
        network=use("trajectory-attention", width=8, heads=2, feedforward=8, queries=2),
        tasks={"": task("motion-cars", "trajectories")},
        keep={"predictions"},
    )
    outcome = execute(made)
    kept = load_file(left(made, outcome, "predictions").path)
    states = motion.split_of("motion-cars", "test", 40).targets.astype(np.float64)
    assert np.array_equal(kept["targets"], states.astype(np.float32))
    paths = 10.0 * kept["outputs"][:, :960].astype(np.float64).reshape(40, 6, 80, 2)
    points = np.arange(5, 81, 5)
    away = np.linalg.norm(paths[:, :, points - 1] - states[:, None, points, :2], axis=3)
    valid = states[:, points, 5]
    counted = valid.any(axis=1)
    means = (away * valid[:, None]).sum(axis=2)[counted] / valid.sum(axis=1)[counted, None]
    ade = means.min(axis=1).mean()
    assert outcome.metrics["test/min_ade_8s"] == pytest.approx(ade, rel=1e-6)
    curve = outcome.curves["train/closest_mode"]
    assert curve.value[-1] < 0.8 * curve.value[0]
