"""Criticality: against closed forms of linear models, float64 references and counted passes."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.stats import norm as gaussian
from torch import Tensor, nn

from bench.errors import UserError
from bench.models.sections import own_state
from bench.parts.kinds import Measured
from bench.parts.measurements.criticality import Criticality, bound
from bench.parts.module_path import ModulePath
from bench.parts.rewound import unchanged_after
from bench.report.figures.valley import ALPHAS, SIGMAS
from tests.parts.known import Known, linear, network_of

DIMENSIONS = 250
FEW = {"draws": 2, "alphas": (0.0, 0.5, 1.0)}
ONE = {"only": "linear"}
FINE = tuple(np.geomspace(0.02, 1.0, 300).tolist())


def margins(first: np.ndarray | float, dimensions: int = DIMENSIONS) -> Tensor:
    """Return weights ``(2, p)`` whose first output is ahead by so much on each unit vector."""
    ahead = torch.zeros(dimensions, dtype=torch.float64) + torch.as_tensor(first)
    return torch.stack([ahead / 2, -ahead / 2])


def measuring(*weights: Tensor) -> Known:
    """Return linear models: the initial one, the final one, and others between them.

    The inputs are the unit vectors, each of class 0: its noise is independent of the others'.
    """
    roles = ("initial", "final", *(f"path{i + 1}" for i in range(len(weights) - 2)))
    head = torch.eye(2, dtype=torch.float64)
    networks = {
        role: network_of({"linear": linear(weight)}, head)
        for role, weight in zip(roles, weights, strict=True)
    }
    inputs = torch.eye(weights[0].shape[1], dtype=torch.float64)
    return Known(networks, inputs, torch.zeros(len(inputs), dtype=torch.long))


def points(found: Measured) -> tuple[float, float, float]:
    """Return α, σ and the number of ties of the only module."""
    lines = (found.curves[f"criticality/{name}"] for name in ("alpha", "sigma", "ties"))
    alpha, sigma, ties = (line.value for line in lines)
    return alpha[0], sigma[0], ties[0]


# -- closed form ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("noise", "alpha"), [("absolute", 0.5), ("relative", 1.0)])
def test_a_linear_model_has_the_criticality_of_its_closed_form(noise: str, alpha: float) -> None:
    # The margin is m(α) = (1 − α) m₀ + α m_F, its noise N(0, 2 s²): the error is Φ(−m / (√2 s)).
    start, end, epsilon = -0.3, 0.5, 0.05
    margin = (1 - alpha) * start + alpha * end
    largest = margin / (math.sqrt(2) * gaussian.isf(epsilon))
    squared = 2 * DIMENSIONS * ((end - start) / 2) ** 2
    found = Criticality(
        modules=ONE, noise=noise, epsilon=epsilon, alphas=(alpha,), sigmas=FINE, draws=40
    )(measuring(margins(start), margins(end)))
    expected = (alpha**2) * squared / largest**2
    assert found.metrics["criticality"] == pytest.approx(expected, rel=0.05)
    # The norm of the final weights is end / 2 for each of them.
    scale = end / 2 if noise == "relative" else 1.0
    assert points(found)[:2] == (alpha, pytest.approx(largest / scale, rel=0.025))


@pytest.mark.parametrize("search", ["binary", "grid"])
@pytest.mark.parametrize("path", ["direct", "optimisation"])
def test_every_point_of_the_grid_is_that_of_a_float64_reference(search: str, path: str) -> None:
    draw = np.random.default_rng(1)
    start, between, end = (draw.uniform(low, 1.0, 12) for low in (0.02, 0.3, 0.4))
    weights = [margins(one, 12) for one in (start, end, between)]
    given = measuring(*weights)
    alphas, sigmas, draws = (0.1, 0.4, 0.7, 1.0), (0.02, 0.05, 0.1, 0.2, 0.4, 0.8), 4
    part = Criticality(
        modules=ONE, path=path, search=search, noise="absolute", epsilon=0.15,
        alphas=alphas, sigmas=sigmas, draws=draws,
    )  # fmt: skip
    found = part(given)

    theta = [weight.numpy() for weight in (weights[0], weights[2], weights[1])]
    if path == "direct":
        theta = [theta[0], theta[2]]
    legs = [np.linalg.norm(b - a) for a, b in pairwise(theta)]
    errors, values = np.empty((4, 6)), np.empty((4, 6))
    for i, alpha in enumerate(alphas):
        way, leg = alpha * sum(legs), 0
        while way > legs[leg] + 1e-12:
            way, leg = way - legs[leg], leg + 1
        here = theta[leg] + way / legs[leg] * (theta[leg + 1] - theta[leg])
        for k, sigma in enumerate(sigmas):
            wrong = []
            for number in range(draws):
                noise = given.stream("noise", "linear", number).normal(24).reshape(2, 12)
                moved = here + sigma * noise
                wrong.append(moved[0] < moved[1])
            errors[i, k] = np.mean(wrong)
            values[i, k] = (np.linalg.norm(here - theta[0]) / sigma) ** 2
    passing = errors <= 0.15
    # Every margin is positive, so that noise which errs does so too when there is more of it.
    assert (np.diff(errors, axis=1) >= 0).all()
    assert 4 < passing.sum() < 20
    best = values[passing].min()
    i, k = np.argwhere(passing & (values == best))[0]
    assert found.metrics["criticality"] == pytest.approx(best, rel=1e-12)
    assert points(found) == (alphas[i], sigmas[k], 1)
    if search == "grid":
        np.testing.assert_allclose(found.arrays["valley/only"], errors, atol=1e-7)
        # What the figure asks for: where these errors are.
        assert found.arrays[ALPHAS].tolist() == list(alphas)
        assert found.arrays[SIGMAS].tolist() == list(sigmas)
        # All of the grid, and the final network itself.
        assert found.metrics["criticality/evaluations"] == 4 * 6 * draws + 1
    else:
        assert found.arrays == {}
        assert found.metrics["criticality/evaluations"] < 4 * 6 * draws / 2


def test_a_start_that_does_as_well_has_no_criticality() -> None:
    # Every margin is 1 or more: up to σ = 0.05 no noise reaches it.
    sigmas = (0.01, 0.02, 0.05, 1.0)
    given = measuring(margins(1.0), margins(2.0))
    found = Criticality(modules=ONE, noise="absolute", sigmas=sigmas, epsilon=0.05)(given)
    assert found.metrics["criticality"] == found.metrics["criticality/only"] == 0
    assert points(found) == (0.0, 0.05, 3)
    grid = Criticality(modules=ONE, noise="absolute", sigmas=sigmas, epsilon=0.05, search="grid")
    assert points(grid(given)) == (0.0, 0.05, 3)


def test_points_of_one_ratio_are_told_as_ties() -> None:
    # From zero the margin is α: each α bears noise in proportion to it.
    given = measuring(margins(0.0), margins(1.0))
    part = Criticality(
        modules=ONE, noise="absolute", alphas=(0.25, 0.5, 1.0), epsilon=0.05,
        sigmas=(0.0625, 0.125, 0.25, 0.5, 1.0),
    )  # fmt: skip
    found = part(given)
    assert points(found) == (0.25, pytest.approx(0.0625), 3)
    assert found.metrics["criticality"] == pytest.approx(DIMENSIONS / 2 * 0.0625 / 0.0625**2)


def test_a_module_that_did_not_move_has_none() -> None:
    given = measuring(margins(1.0), margins(1.0), margins(1.0))
    for path in ("direct", "optimisation"):
        found = Criticality(modules=ONE, path=path, sigmas=(0.01,))(given)
        assert found.metrics["criticality"] == 0


# -- sums, bound, evaluations --------------------------------------------------------------------


def _two(seed: int) -> dict[str, nn.Module]:
    generator = torch.Generator().manual_seed(seed)
    first = torch.eye(6, dtype=torch.float64)
    noise = torch.randn(2, 6, 6, generator=generator, dtype=torch.float64)
    return {"first": linear(first + 0.2 * noise[0]), "second": linear(first + 0.2 * noise[1])}


def _deep() -> Known:
    head = torch.eye(6, dtype=torch.float64)
    networks = {
        "initial": network_of(_two(1), head.roll(1, 0)),
        "final": network_of(_two(2), head),
    }
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(200, 6, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        targets = networks["final"](inputs).logits.argmax(dim=1)
    return Known(networks, inputs, targets)


def test_a_networks_criticality_is_the_sum_over_all_its_modules_and_the_head() -> None:
    whole = Criticality(**FEW)(_deep())
    alone = {
        path: Criticality(modules={"one": path}, **FEW)(_deep())
        for path in ("first", "second", "head")
    }
    # Whatever was measured before, a module is measured in the network as it was.
    own = [found.metrics["criticality/one"] for found in alone.values()]
    assert all(value > 0 for value in own)
    assert whole.curves["criticality/module"].value == own
    assert list(whole.curves["criticality/module"].at) == [1, 2, 3]
    assert whole.metrics["criticality"] == pytest.approx(sum(own), rel=1e-12)
    assert set(whole.metrics) == {
        "criticality", "criticality/bound", "criticality/error", "criticality/evaluations",
    }  # fmt: skip
    named = Criticality(modules={"b": "second", "h": "head"}, **FEW)(_deep()).metrics
    assert named["criticality"] == named["criticality/b"] + named["criticality/h"]


def test_evaluations_are_passes_over_the_examples() -> None:
    given = _deep()
    rows = 0

    def count(module: nn.Module, args: tuple[Tensor, ...], output: object) -> None:
        nonlocal rows
        rows += len(args[0])

    network = given.network("final")
    network.register_forward_hook(count)
    given._networks["final"] = network
    found = Criticality(examples=50, **FEW)(given)
    # The error on the whole split, 200 rows, is no evaluation.
    assert rows == 200 + 50 * found.metrics["criticality/evaluations"]
    assert found.metrics["criticality/error"] == 0


def test_the_bound_is_that_of_the_paper() -> None:
    # 0.1 + √((400/4 + log(1000/0.05)) / 1000)
    assert bound(400.0, 0.1, 1000, 0.05) == pytest.approx(0.1 + math.sqrt(0.109903487552536))
    found = Criticality(examples=50, delta=0.1, **FEW)(_deep()).metrics
    inner = (found["criticality"] / 4 + math.log(50 / 0.1)) / 50
    assert found["criticality/bound"] == pytest.approx(0.1 + math.sqrt(inner))


# -- the path, the state, the noise --------------------------------------------------------------


def test_a_path_goes_through_its_states_by_its_length() -> None:
    corners = [[0.0, 0.0], [3.0, 0.0], [3.0, 0.0], [3.0, 4.0]]
    path = ModulePath(
        [
            {"w": torch.tensor(corner, dtype=torch.float64), "mean": torch.tensor([float(i)])}
            for i, corner in enumerate(corners)
        ],
        ["w"],
    )
    assert path.at(3 / 7)["w"].tolist() == pytest.approx([3.0, 0.0])
    assert path.at(0.5)["w"].tolist() == pytest.approx([3.0, 0.5])
    # Half of seven is an eighth into the last leg, and so are statistics.
    assert path.at(0.5)["mean"].item() == pytest.approx(2.125)
    assert path.distance(0.5) == pytest.approx(math.hypot(3.0, 0.5))
    assert path.distance(1.0) == 5.0
    assert path.at(0.0)["w"].tolist() == corners[0]
    assert path.at(1.0)["w"].tolist() == corners[-1]


def test_a_module_is_put_back_bit_for_bit() -> None:
    module = nn.BatchNorm1d(3)
    with torch.no_grad():
        for value in (module.weight, module.bias, module.running_mean, module.running_var):
            assert value is not None
            value.copy_(torch.tensor([0.1, 1 / 3, 1e-30]))
    before = {name: value.clone() for name, value in module.state_dict().items()}

    def changed() -> None:
        own = own_state(module)
        with unchanged_after(own):
            for value in own.values():
                value.add_(0.3).mul_(7)
            assert not torch.equal(module.state_dict()["running_var"], before["running_var"])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        changed()
    after = module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_statistics_go_along_the_path_or_stay() -> None:
    def normalised(mean: float) -> dict[str, nn.Module]:
        norm = nn.BatchNorm1d(2, eps=0.0).double()
        assert norm.running_mean is not None
        norm.running_mean.copy_(torch.tensor([mean, -mean]))
        return {"norm": norm}

    head = torch.eye(2, dtype=torch.float64)
    networks = {r: network_of(normalised(m), head) for r, m in (("initial", 9), ("final", 0))}
    # Class 0 has its first number ahead by 10: less 2 · 9 it would not be.
    given = Known(networks, torch.tensor([[10.0, 0.0]], dtype=torch.float64), torch.tensor([0]))
    kept, rewound = (
        Criticality(modules={"n": "norm"}, statistics=s, sigmas=(0.001,), alphas=(0.0, 1.0))
        for s in ("kept", "rewound")
    )
    assert points(kept(given))[0] == 0.0
    # No parameter moved: no distance, wherever it is.
    assert points(rewound(given))[0] == 1.0
    assert rewound(given).metrics["criticality"] == 0


def test_outputs_that_are_not_finite_are_errors() -> None:
    # Infinite outputs would be taken for the first class, the right one.
    weight = torch.full((2, 1), 3e38)
    weight[1] = -3e38
    head = torch.eye(2)
    networks = {
        "initial": network_of({"linear": linear(0 * weight)}, head),
        "final": network_of({"linear": linear(weight)}, head),
    }
    given = Known(networks, torch.ones(1, 1), torch.tensor([0]))
    part = Criticality(modules=ONE, draws=20, sigmas=(0.01, 1.0), alphas=(1.0,))
    assert points(part(given))[1] == 0.01


# -- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"epsilon": 0.4}, r"error of the final network itself is 0\.5, above ε = 0\.4"),
        ({"epsilon": 0.6, "sigmas": (0.9,), "noise": "absolute"}, None),
        ({"alphas": (0.0, 1.2)}, "rising numbers up to 1"),
        ({"alphas": (0.5, 0.0)}, "rising numbers up to 1"),
        ({"sigmas": ()}, "rising numbers up to 1"),
        ({"delta": 1.0}, "a probability below 1"),
        ({"path": "optimisation"}, "goes through no checkpoint"),
        ({"modules": {"a": "linear", "b": "linear"}}, "linear is counted twice"),
        ({"score": "top2"}, "no metric 'top2'"),
    ],
)
def test_what_cannot_be_is_said(settings: dict[str, object], problem: str | None) -> None:
    half = torch.linspace(-1, 1, DIMENSIONS, dtype=torch.float64)
    given = measuring(margins(0.0), margins(half.numpy()))
    part = Criticality(**{"modules": ONE, **settings})  # type: ignore[arg-type]
    if problem is None:
        assert part(given).metrics["criticality"] >= 0
        return
    with pytest.raises(UserError, match=problem):
        part(given)


def test_noise_that_no_point_bears_is_an_error_that_names_the_module() -> None:
    given = measuring(margins(-1.0), margins(0.1))
    part = Criticality(modules=ONE, noise="absolute", sigmas=(0.9,), epsilon=0.01)
    with pytest.raises(UserError, match=r"the module only cannot be told: even noise of σ = 0\.9"):
        part(given)


def test_networks_whose_modules_differ_are_refused() -> None:
    given, other = (measuring(margins(0.0, size), margins(1.0, size)) for size in (3, 4))
    given._networks["initial"] = other.network("initial")
    with pytest.raises(UserError, match=r"'only' is not the same one in the networks"):
        Criticality(modules=ONE)(given)
