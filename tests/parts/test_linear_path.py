"""The straight line between networks, against closed forms."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from bench.errors import UserError
from bench.models.network import Network
from bench.parts.checks.measuring import RandomMeasuring
from bench.parts.checks.random_data import Inputs
from bench.parts.linear_probe import logistic_regression
from bench.parts.measurements.linear_path import LinearPath, below_line, grid
from bench.parts.mixture import Mixture

INPUTS = Inputs("plain", (6,))
DRAW = np.random.default_rng(11)


class Body(nn.Module):
    """Six numbers to six, through batch normalisation if asked for."""

    num_features = 6

    def __init__(self, norm: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 6)
        self.norm: nn.Module = nn.BatchNorm1d(6) if norm else nn.Identity()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.norm(self.linear(inputs)))


def network(seed: int, *, norm: bool = False, width: int = 3) -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = Network(Body(norm), {"": width}, name="plain")
        nn.init.normal_(made.heads[""].weight)
        nn.init.normal_(made.heads[""].bias)
        for module in made.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 1.5)
                module.num_batches_tracked.fill_(7 + seed)
    return made.eval()


def pair(**settings: object) -> dict[str, Network]:
    return {"first": network(1, **settings), "second": network(2, **settings)}  # type: ignore[arg-type]


def measuring(networks: dict[str, Network]) -> RandomMeasuring:
    return RandomMeasuring(networks, INPUTS, data=True)


def flat(made: Network) -> np.ndarray:
    return torch.cat([p.detach().double().flatten() for p in made.parameters()]).numpy()


class Quadratic(RandomMeasuring):
    """A score that is a quadratic function of the parameters, and a loss that is its negative."""

    def __init__(self, networks: dict[str, Network]) -> None:
        super().__init__({r: n.double() for r, n in networks.items()}, INPUTS, data=True)
        n = len(flat(next(iter(networks.values()))))
        root = DRAW.normal(size=(n, n)) / n
        self.curvature, self.slope = root @ root.T, DRAW.normal(size=n)

    def value(self, at: np.ndarray) -> float:
        return float(at @ self.curvature @ at / 2 + self.slope @ at)

    def scores(self, network, split, **_):
        value = self.value(flat(network))
        return {"top1": value, "loss": -value}


def test_the_barrier_of_a_quadratic_is_an_eighth_of_its_curvature():
    subject = Quadratic(pair())
    found = LinearPath(points=31, low=-1.0, high=2.0)(subject)
    one, other = (flat(subject.network(role)) for role in ("first", "second"))
    apart = other - one
    along = float(apart @ subject.curvature @ apart)
    ends = [subject.value(one), subject.value(other)]
    middle = subject.value((one + other) / 2)
    best = max(subject.value(one + i / 10 * apart) for i in range(1, 10))
    expected = {
        "barrier/top1": along / 8,
        "barrier/middle/top1": along / 8,
        "barrier/loss": along / 8,
        # The trapezoidal rule is too high by h² / 12 times the second derivative.
        "path/top1": sum(ends) / 2 - along / 12 + along * 0.1**2 / 12,
        "path/loss": -(sum(ends) / 2 - along / 12 + along * 0.1**2 / 12),
        "path/first/top1": ends[0],
        "path/middle/top1": middle,
        "path/second/top1": ends[1],
        "path/best/top1": best,
        "path/boost/top1": max(0.0, best - max(ends)),
        "path/low/top1": subject.value(2 * one - other),
        "path/high/top1": subject.value(2 * other - one),
    }
    assert along > 0.1
    assert found.metrics == pytest.approx(expected, rel=1e-12, abs=1e-13)
    line = found.curves["path/top1"]
    assert line.at == [i / 10 for i in range(-10, 21)]
    assert line.value == pytest.approx(
        [subject.value(one + i / 10 * apart) for i in range(-10, 21)], rel=1e-12, abs=1e-13
    )
    assert found.curves["path/loss"].value == [-value for value in line.value]


def test_where_the_line_is_beaten_there_is_no_barrier():
    subject = Quadratic(pair())
    one, other = (flat(subject.network(role)) for role in ("first", "second"))
    along = float((other - one) @ subject.curvature @ (other - one))
    # The top of the hill lies in the middle.
    subject.curvature = -subject.curvature
    subject.slope = -subject.curvature @ (one + other) / 2
    found = LinearPath()(subject).metrics
    assert found["barrier/top1"] == found["barrier/loss"] == 0.0
    assert found["barrier/middle/top1"] == pytest.approx(-along / 8)
    assert found["path/boost/top1"] == pytest.approx(along / 8)
    assert found["path/best/top1"] == found["path/middle/top1"]


def test_a_network_and_itself_have_exactly_no_barrier():
    same = dict.fromkeys(("first", "second"), network(1, norm=True))
    found = LinearPath()(measuring(same))
    assert found.metrics["barrier/top1"] == found.metrics["barrier/middle/top1"] == 0.0
    assert found.metrics["barrier/loss"] == found.metrics["path/boost/top1"] == 0.0
    assert len({*found.curves["path/loss"].value}) == 1


def test_the_highest_point_need_not_be_in_the_middle():
    assert below_line([0.0, 0.25, 0.5, 1.0], [1.0, 0.2, 0.7, 0.6]) == pytest.approx(
        [0.0, 0.7, 0.1, 0.0]
    )
    assert below_line([0.0, 0.3, 1.0], [0.1, 0.1, 0.1]) == [0.0, 0.0, 0.0]


def test_the_ends_are_the_networks_themselves():
    networks = pair(norm=True)
    subject = measuring(networks)
    found = LinearPath(points=3)(subject)
    for role, at in (("first", 0), ("second", 2)):
        own = subject.scores(networks[role], "test")
        assert found.metrics[f"path/{role}/top1"] == own["top1"]
        assert found.curves["path/loss"].value[at] == own["loss"]


# -- the grid ------------------------------------------------------------------------------------


def test_points_are_where_they_are_said_to_be():
    assert grid(21, 0.0, 1.0) == [Fraction(i, 20) for i in range(21)]
    assert grid(31, -1.0, 2.0) == [Fraction(i, 10) - 1 for i in range(31)]
    assert grid(13, -0.1, 1.1) == [Fraction(i - 1, 10) for i in range(13)]


@pytest.mark.parametrize(
    ("points", "low", "high"), [(20, 0.0, 1.0), (11, 0.1, 1.0), (1, 0.0, 1.0), (21, -1.0, 2.0)]
)
def test_a_grid_without_the_ends_or_the_middle_is_refused(points, low, high):
    with pytest.raises(UserError, match=rf"not all among {points} points from {low} to {high}"):
        LinearPath(points=points, low=low, high=high)(measuring(pair()))


# -- what is summed ------------------------------------------------------------------------------


def test_parameters_and_float_buffers_are_summed_and_counts_are_the_firsts():
    networks = pair(norm=True)
    mixture = Mixture(measuring(networks), ("first", "second"), batch_size=4, part="p")
    mixed = mixture.put([1.5, -0.5]).state_dict()
    one, other = (networks[role].state_dict() for role in ("first", "second"))
    for name, value in mixed.items():
        if name.endswith("num_batches_tracked"):
            assert value == 8
        else:
            torch.testing.assert_close(value, 1.5 * one[name] - 0.5 * other[name])
    torch.testing.assert_close(
        mixture.put([0.5, 0.5], statistics=[1.0, 0.0]).backbone.norm.running_var,
        one["backbone.norm.running_var"],
    )
    noise = torch.arange(mixture.parameters, dtype=torch.float64)
    noisy = mixture.put([0.0, 1.0], noise=noise)
    np.testing.assert_allclose(flat(noisy) - flat(networks["second"]), noise, atol=1e-4)
    apart = flat(networks["second"]) - flat(networks["first"])
    np.testing.assert_allclose(mixture.products(), [[0, 0], [0, apart @ apart]], rtol=1e-12)


def test_a_negative_variance_is_refused():
    networks = pair(norm=True)
    networks["second"].backbone.norm.running_var.fill_(10.0)
    with pytest.raises(UserError, match=r"weights 2, -1 the interpolated running variance of"):
        LinearPath(points=7, low=-1.0, high=2.0)(measuring(networks))


def test_statistics_are_averaged_over_the_training_rows():
    networks = pair(norm=True)
    subject = measuring(networks)
    mixture = Mixture(
        subject, ("first", "second"), statistics="averaged-anew", batch_size=4, part="p"
    )
    mixed = mixture.put([0.3, 0.7])
    rows = torch.cat([x for x, _ in subject.batches("train", 3)])
    entering = mixed.backbone.linear(rows).detach()
    torch.testing.assert_close(mixed.backbone.norm.running_mean, entering.mean(0))
    assert not any(module.training for module in mixed.modules())


class Known(RandomMeasuring):
    """Networks whose training is known."""

    def settings(self, role):
        trained = {"statistics": "frozen" if role == "second" else "moving"}
        return {"trainable": {"all": trained}}


@pytest.mark.parametrize(
    ("subject", "problem"),
    [
        (lambda: Known(pair(norm=True), INPUTS, data=True), "role second was trained with frozen"),
        (lambda: measuring(pair()), "role first has no batch normalisation"),
        (lambda: measuring({**pair(norm=True), "second": unmoved()}), "no training has moved"),
    ],
)
def test_statistics_that_were_not_trained_by_are_not_averaged_anew(subject, problem):
    with pytest.raises(UserError, match=problem):
        LinearPath(statistics="averaged-anew")(subject())
    LinearPath(points=3)(subject())


def unmoved() -> Network:
    made = network(2, norm=True)
    made.backbone.norm.num_batches_tracked.zero_()
    return made


# -- heads ---------------------------------------------------------------------------------------


def without_head(made: Network) -> Network:
    made.replace_heads({"": 3})
    return made


def test_a_head_that_was_never_trained_is_refused_where_it_counts():
    networks = {**pair(), "second": without_head(network(2))}
    with pytest.raises(UserError, match="head of the network in the role second is zero"):
        LinearPath()(measuring(networks))
    with pytest.raises(UserError, match="role second is zero"):
        LinearPath(head="second")(measuring(networks))
    LinearPath(head="first")(measuring(networks))


def test_heads_of_other_widths_are_not_interpolated():
    networks = {"first": network(1), "second": network(2, width=5)}
    with pytest.raises(UserError, match=r"same parameters: head\.bias differs"):
        LinearPath()(measuring(networks))
    subject = measuring(networks)
    found = LinearPath(head="first", points=3)(subject)
    grafted = network(2)
    grafted.load_heads({"": network(1).heads[""].state_dict()})
    assert found.curves["path/loss"].value[2] == subject.scores(grafted, "test")["loss"]


def test_a_probe_is_made_anew_at_each_point():
    networks = {"first": network(1), "second": without_head(network(2, width=5))}
    subject = measuring(networks)
    found = LinearPath(head="probe", points=3)(subject)
    body = network(2)
    with torch.no_grad():
        rows = [(body(x).features.double(), y) for x, y in subject.batches("train", 8)]
        weight, bias = logistic_regression(*rows[0], 3)
        body.load_heads({"": {"weight": weight.float(), "bias": bias.float()}})
    expected = subject.scores(body, "test")["loss"]
    assert found.curves["path/loss"].value[2] == pytest.approx(expected, rel=1e-5)
    with pytest.raises(UserError, match="would be scored on them"):
        LinearPath(head="probe", split="train")(subject)


def test_a_probe_is_at_the_minimum_of_what_it_lowers():
    features = torch.from_numpy(DRAW.normal(3.0, 5.0, size=(60, 4)))
    features[:, 2] = 7.0
    labels = torch.from_numpy(DRAW.integers(0, 3, 60))
    weight, bias = logistic_regression(features, labels, 3)
    # The gradient, by hand: of the standardised features, and a ridge on their weights.
    spread = features.std(dim=0, correction=0)
    rows = torch.where(spread > 0, (features - features.mean(0)) / spread, 0.0)
    wrong = torch.softmax(features @ weight.T + bias, 1) - torch.eye(3, dtype=torch.float64)[labels]
    slope = wrong.T @ rows / 60 + 1e-3 * weight * spread
    assert slope.abs().max() < 1e-5
    assert wrong.mean(0).abs().max() < 1e-5
    assert (weight[:, 2] == 0).all()
    assert weight.abs().max() > 0.01


# -- scores --------------------------------------------------------------------------------------


def test_other_scores_of_the_objective_are_followed_by_their_names():
    found = LinearPath(points=3, scores={"top5": "top5", "mean": "mean_class_accuracy"})(
        measuring(pair())
    )
    assert {"barrier/top5", "path/boost/mean"} <= set(found.metrics)
    assert set(found.curves) == {"path/top5", "path/mean", "path/loss"}
    with pytest.raises(UserError, match="has no auc; it gives loss, mean_class"):
        LinearPath(points=3, scores={"auc": "auc"})(measuring(pair()))
