"""PROFIT against its algorithm, written out in NumPy, and against what must hold of every step."""

from __future__ import annotations

import copy
import functools
import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from bench.methods import PROFIT

Array = NDArray[np.float64]
RATE = 0.05


def quadratics(seed: int, count: int, width: int = 5) -> list[tuple[Array, Array]]:
    """Return batches: L(θ) = ½ ‖A θ − b‖², each with its own A and b."""
    generator = np.random.default_rng(seed)
    return [(generator.normal(size=(4, width)), generator.normal(size=4)) for _ in range(count)]


def closure_of(
    parameters: list[Tensor],
    batches: Iterator[tuple[Array, Array]],
    scaled: Callable[[Tensor], Tensor] = lambda loss: loss,
) -> Callable[[], Tensor]:
    def closure() -> Tensor:
        a, b = (torch.tensor(x, dtype=parameters[0].dtype) for x in next(batches))
        for parameter in parameters:
            parameter.grad = None
        loss = 0.5 * (a @ torch.cat([p.flatten() for p in parameters]) - b).square().sum()
        scaled(loss).backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    return closure


def gradient(batch: tuple[Array, Array], theta: Array) -> Array:
    a, b = batch
    return a.T @ (a @ theta - b)


def by_hand(
    theta: Array, batches: list[tuple[Array, Array]], n_ref: int, lr_ref: float, guard: bool
) -> Array:
    """Algorithm 1 with plain SGD for both."""
    drawn = iter(batches)
    for _ in range(len(batches) // (n_ref + 1)):
        saved = theta.copy()
        for _ in range(n_ref):
            theta = theta - lr_ref * gradient(next(drawn), theta)
        delta = theta - saved
        g = gradient(next(drawn), theta)
        omega = delta @ g
        if omega < 0 or not guard:
            g = g - omega / (delta @ delta) * delta
        theta = saved - RATE * g
    return theta


def split(theta: Array, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Return the parameters as two tensors, of which neither is the whole."""
    return [torch.tensor(part, dtype=dtype, requires_grad=True) for part in (theta[:2], theta[2:])]


def joined(parameters: list[Tensor]) -> Array:
    return torch.cat([p.detach().flatten() for p in parameters]).double().numpy()


@pytest.mark.parametrize("n_ref", [1, 2, 3])
@pytest.mark.parametrize("guard", [True, False])
@pytest.mark.parametrize("foreach", [True, False])
def test_steps_are_those_of_the_algorithm(n_ref: int, guard: bool, foreach: bool) -> None:
    batches = quadratics(1, 6 * (n_ref + 1))
    start = np.linspace(-1, 1, 5)
    parameters = split(start)
    optimizer = PROFIT(
        torch.optim.SGD(parameters, lr=RATE), n_ref=n_ref, ratio=4, guard=guard, foreach=foreach
    )
    closure = closure_of(parameters, iter(batches))
    for _ in range(6):
        optimizer.step(closure)
    expected = by_hand(start, batches, n_ref, RATE / 4, guard)
    np.testing.assert_allclose(joined(parameters), expected, rtol=1e-12)


@given(seed=st.integers(0, 10_000), products=st.sampled_from(["global", "tensor"]))
@settings(max_examples=60, deadline=None)
def test_no_gradient_undoes_the_walk_and_others_are_left_alone(seed: int, products: Any) -> None:
    parameters = split(np.random.default_rng(seed).normal(size=5))
    start = [p.detach().clone() for p in parameters]
    batches = quadratics(seed, 2)
    seen: dict[str, Any] = {}

    def apply() -> None:
        seen["restored"] = all(p.equal(s) for p, s in zip(parameters, start, strict=True))
        seen["grads"] = [p.grad.clone() for p in parameters if p.grad is not None]

    optimizer = PROFIT(torch.optim.SGD(parameters, lr=RATE), products=products)
    optimizer.step(closure_of(parameters, iter(batches)), apply=apply)
    theta = joined(start)
    first = gradient(batches[0], theta)
    delta = -RATE / 10 * first
    second = gradient(batches[1], theta + delta)
    assert seen["restored"]
    parts = [slice(0, 5)] if products == "global" else [slice(0, 2), slice(2, 5)]
    got = np.concatenate([g.numpy().ravel() for g in seen["grads"]])
    for part in parts:
        if delta[part] @ second[part] < 0:
            size = np.linalg.norm(second[part]) * np.linalg.norm(delta[part])
            assert abs(got[part] @ delta[part]) <= 1e-12 * size
        else:
            np.testing.assert_allclose(got[part], second[part], rtol=1e-12)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_with_one_step_of_sgd_it_fires_where_two_gradients_agree(seed: int) -> None:
    parameters = split(np.random.default_rng(seed).normal(size=5))
    batches = quadratics(seed, 2)
    theta = joined(parameters)
    first = gradient(batches[0], theta)
    second = gradient(batches[1], theta - RATE / 10 * first)
    optimizer = PROFIT(torch.optim.SGD(parameters, lr=RATE))
    optimizer.step(closure_of(parameters, iter(batches)))
    assert optimizer.look is not None
    assert (optimizer.look.projected == 1) == (first @ second > 0)
    cosine = -(first @ second) / (np.linalg.norm(first) * np.linalg.norm(second))
    assert optimizer.look.cosine == pytest.approx(cosine, abs=1e-9)


def test_a_loss_that_is_linear_along_the_walk_gives_no_step() -> None:
    parameters = split(np.linspace(-1, 1, 5))
    before = [p.detach().clone() for p in parameters]
    slope = torch.linspace(1, 2, 5, dtype=torch.float64)

    def closure() -> None:
        for parameter, part in zip(parameters, (slope[:2], slope[2:]), strict=True):
            parameter.grad = part.clone()

    PROFIT(torch.optim.SGD(parameters, lr=RATE), ratio=1).step(closure)
    for parameter, was in zip(parameters, before, strict=True):
        torch.testing.assert_close(parameter.detach(), was, rtol=0, atol=1e-15)


@pytest.mark.parametrize("smallness", [1e-2, 1e-4, 1e-6, 1e-8])
def test_float32_keeps_a_walk_far_below_the_parameters_size(smallness: float) -> None:
    def projected(dtype: torch.dtype) -> tuple[Array, float]:
        parameters = split(10.0 + np.arange(5.0), dtype)
        found: list[Array] = []

        def apply() -> None:
            found.append(np.concatenate([p.grad.double().numpy() for p in parameters]))  # type: ignore[union-attr]

        batches = quadratics(3, 1) * 2
        optimizer = PROFIT(torch.optim.SGD(parameters, lr=RATE), lr_ref=smallness)
        optimizer.step(closure_of(parameters, iter(batches)), apply=apply)
        assert optimizer.look is not None
        return found[0], optimizer.look.projected

    (ours, fired), (exact, should) = projected(torch.float32), projected(torch.float64)
    assert fired == should == 1
    # What remains of the gradient is what has turned since: measured by the gradient itself.
    whole = np.linalg.norm(gradient(quadratics(3, 1)[0], 10.0 + np.arange(5.0)))
    assert np.linalg.norm(ours - exact) <= 1e-5 * whole


def test_reference_optimizers_state_and_rates_go_on() -> None:
    batches = quadratics(5, 60)

    def make(parameters: list[Tensor]) -> PROFIT:
        return PROFIT(
            torch.optim.Adam(parameters, lr=RATE),
            n_ref=2,
            ratio=5,
            reference=lambda tensors: torch.optim.RMSprop(tensors, lr=0.0),
        )

    whole = split(np.linspace(-1, 1, 5))
    optimizer = make(whole)
    closure = closure_of(whole, iter(batches))
    for _ in range(5):
        optimizer.step(closure)
    state, values = copy.deepcopy(optimizer.state_dict()), joined(whole)
    for _ in range(5):
        optimizer.step(closure)
    resumed = split(values)
    other = make(resumed)
    other.load_state_dict(state)
    closure = closure_of(resumed, itertools.islice(iter(batches), 15, None))
    for _ in range(5):
        other.step(closure)
    np.testing.assert_array_equal(joined(resumed), joined(whole))


@pytest.mark.parametrize(
    ("settings", "rates"),
    [
        ({"ratio": 10}, [0.02, 0.01]),
        ({"ratio": 10, "follows": False}, [0.02, 0.02]),
        ({"lr_ref": 0.03}, [0.03, 0.03]),
        ({"lr_ref": 0.03, "follows": True}, [0.03, 0.015]),
    ],
    ids=str,
)
@pytest.mark.parametrize("made_before", [True, False])
def test_a_scheduler_sets_both_rates_where_the_walk_follows_it(
    settings: dict[str, Any], rates: list[float], made_before: bool
) -> None:
    """The walk of a first and a second step from one place, by a rate of 0.2 that is halved."""
    parameters = split(np.linspace(-1, 1, 5))
    inner = torch.optim.SGD(parameters, lr=0.2)
    halving = functools.partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5)
    scheduler = halving(inner) if made_before else None
    optimizer = PROFIT(inner, **settings)
    scheduler = scheduler or halving(optimizer)
    batch = quadratics(7, 1)
    slope = np.linalg.norm(gradient(batch[0], joined(parameters)))
    for rate in rates:
        optimizer.step(closure_of(parameters, iter(batch * 2)))
        assert optimizer.look is not None
        assert optimizer.look.displacement == pytest.approx(rate * slope, rel=1e-12)
        scheduler.step()
        with torch.no_grad():
            for p, was in zip(parameters, split(np.linspace(-1, 1, 5)), strict=True):
                p.copy_(was)


def test_a_walk_that_follows_goes_on_at_its_rate_after_a_break() -> None:
    parameters = split(np.linspace(-1, 1, 5))

    def make() -> PROFIT:
        return PROFIT(torch.optim.SGD(parameters, lr=0.2), lr_ref=0.03, follows=True)

    optimizer, resumed = make(), make()
    optimizer.param_groups[0]["lr"] = 0.05
    resumed.load_state_dict(optimizer.state_dict())
    batch = quadratics(7, 1)
    slope = np.linalg.norm(gradient(batch[0], joined(parameters)))
    resumed.step(closure_of(parameters, iter(batch * 2)))
    assert resumed.look is not None
    assert resumed.look.displacement == pytest.approx(0.03 / 4 * slope, rel=1e-12)


def test_two_groups_walk_at_their_own_rates() -> None:
    parameters = split(np.linspace(-1, 1, 5))
    groups = [{"params": [parameters[0]], "lr": 0.2}, {"params": [parameters[1]], "lr": 0.02}]
    batch = quadratics(8, 1)
    first = gradient(batch[0], joined(parameters))
    optimizer = PROFIT(torch.optim.SGD(groups, lr=1.0), ratio=10)
    optimizer.step(closure_of(parameters, iter(batch * 2)))
    assert optimizer.look is not None
    walk = np.concatenate([0.02 * first[:2], 0.002 * first[2:]])
    assert optimizer.look.displacement == pytest.approx(np.linalg.norm(walk), rel=1e-12)


def test_statistics_are_moved_by_the_last_gradient_alone_where_asked() -> None:
    layer = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    inputs = iter(torch.randn(10, 8, 3, generator=torch.Generator().manual_seed(0)))

    def closure() -> Tensor:
        layer.zero_grad()
        loss: Tensor = layer(next(inputs)).square().mean()
        loss.backward()
        return loss

    norm = layer[1]
    assert isinstance(norm, torch.nn.BatchNorm1d)
    optimizer = PROFIT(
        torch.optim.SGD(layer.parameters(), lr=0.1), n_ref=3, buffers=list(norm.buffers())
    )
    optimizer.step(closure)
    assert norm.num_batches_tracked is not None
    assert int(norm.num_batches_tracked) == 1


def test_scaled_losses_give_the_steps_of_unscaled_ones() -> None:
    def train(scaled: bool) -> Array:
        parameters = split(np.linspace(-1, 1, 5), torch.float32)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, enabled=scaled)
        optimizer = PROFIT(torch.optim.SGD(parameters, lr=RATE), ratio=4)
        batches = iter(quadratics(9, 8))
        for _ in range(4):
            optimizer.step(closure_of(parameters, batches, scaler.scale), scaler=scaler)
            scaler.update()
        return joined(parameters)

    np.testing.assert_array_equal(train(True), train(False))


def test_an_infinite_reference_gradient_is_no_step_and_lowers_the_scale() -> None:
    parameters = split(np.linspace(-1, 1, 5), torch.float32)
    before = joined(parameters)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    scaler.scale(torch.zeros(()))
    calls = 0

    def closure() -> None:
        nonlocal calls
        calls += 1
        for parameter in parameters:
            parameter.grad = torch.full_like(parameter, float("inf") if calls == 1 else 1.0)

    PROFIT(torch.optim.SGD(parameters, lr=RATE)).step(closure, scaler=scaler)
    scaler.update()
    np.testing.assert_array_equal(joined(parameters), before)
    assert scaler.get_scale() == 512.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_ref": 0},
        {"ratio": 0.0},
        {"lr_ref": -1.0},
        {"ratio": 2.0, "lr_ref": 0.1},
        {"products": "layer"},
    ],
)
def test_what_is_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"ratio|n_ref|lr_ref|products"):
        PROFIT(torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1), **wrong)


def test_a_walk_cannot_follow_a_rate_that_is_zero() -> None:
    still = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.0)
    with pytest.raises(ValueError, match="begins at 0"):
        PROFIT(still, lr_ref=0.1, follows=True)
    PROFIT(still, ratio=10, follows=False)


def test_a_reference_that_decays_is_refused() -> None:
    parameters = split(np.linspace(-1, 1, 5))
    optimizer = PROFIT(
        torch.optim.SGD(parameters, lr=RATE),
        reference=lambda tensors: torch.optim.SGD(tensors, lr=0.0, weight_decay=0.1),
    )
    with pytest.raises(ValueError, match="decay"):
        optimizer.step(closure_of(parameters, iter(quadratics(1, 2))))


def test_it_is_imported_with_torch_alone() -> None:
    code = (
        "import sys; from bench.methods import PROFIT; "
        "heavy = {'timm', 'datasets', 'pandas', 'torchvision', 'bench.models', 'bench.spec'}; "
        "sys.exit(', '.join(heavy & sys.modules.keys()) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
