"""BSS is η Σ σ² of the k smallest singular values, with their gradient, and always finite."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench.errors import UserError
from bench.parts import Step
from bench.parts.penalties.bss import BSS


def step(features: Tensor) -> Step:
    labels = torch.zeros(len(features), dtype=torch.long)
    return Step(features, torch.zeros(len(features), 2), labels, {}, {}, {})


def value_and_gradient(features: Tensor, **parameters: float) -> tuple[float, Tensor]:
    features = features.detach().clone().requires_grad_()
    value = BSS(**parameters)(step(features))
    (gradient,) = torch.autograd.grad(value, features)
    return value.item(), gradient


def reference(features: Tensor, eta: float, k: int) -> tuple[float, Tensor]:
    """Return value and gradient written from the singular triples: η Σ σ², 2η Σ σ u vᵀ."""
    u, s, vt = np.linalg.svd(features.numpy().astype(np.float64), full_matrices=False)
    low = slice(len(s) - k, len(s))
    gradient = 2 * eta * (u[:, low] * s[low]) @ vt[low]
    return eta * float(np.sum(s[low] ** 2)), torch.from_numpy(gradient)


def matrix(singular_values: list[float], images: int, width: int, seed: int = 0) -> Tensor:
    """Return a float64 matrix with the singular values given."""
    generator = torch.Generator().manual_seed(seed)
    u, _ = torch.linalg.qr(torch.randn(images, images, generator=generator, dtype=torch.float64))
    v, _ = torch.linalg.qr(torch.randn(width, width, generator=generator, dtype=torch.float64))
    r = len(singular_values)
    return u[:, :r] * torch.tensor(singular_values, dtype=torch.float64) @ v[:, :r].T


@pytest.mark.parametrize("shape", [(6, 10), (10, 6), (7, 7), (1, 5), (5, 1)])
@pytest.mark.parametrize("k", [1, 3])
def test_value_and_gradient_are_those_of_the_decomposition(shape, k):
    k = min(k, *shape)
    features = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    value, gradient = value_and_gradient(features, eta=1e-3, k=k)
    expected, slope = reference(features, 1e-3, k)
    assert value == pytest.approx(expected, rel=1e-8)
    torch.testing.assert_close(gradient, slope, rtol=1e-8, atol=1e-11)


def test_a_diagonal_matrix_by_hand():
    features = torch.diag(torch.tensor([3.0, 2.0, 0.5], dtype=torch.float64))
    value, gradient = value_and_gradient(features, eta=2.0, k=2)
    assert value == pytest.approx(2 * (0.25 + 4), rel=1e-12)
    expected = torch.diag(torch.tensor([0.0, 8.0, 2.0], dtype=torch.float64))
    torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(4, 9), (9, 4)])
def test_it_is_differentiable_as_the_singular_values_are(shape):
    features = matrix([4, 3, 2, 1], *shape).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda f: BSS(eta=1.0, k=2)(step(f)), features, atol=1e-8, rtol=1e-6
    )


def test_where_the_k_smallest_are_equal_among_themselves_the_gradient_is_still_exact():
    features = matrix([5, 2, 2], 3, 8)
    value, gradient = value_and_gradient(features, eta=1.0, k=2)
    assert value == pytest.approx(8, rel=1e-8)
    # Any basis of the two will do: the gradient is 2PF, P the projector away from the largest.
    largest = np.linalg.svd(features.numpy())[0][:, :1]
    projector = torch.from_numpy(np.eye(3) - largest @ largest.T)
    torch.testing.assert_close(gradient, 2 * projector @ features, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    "features",
    [
        torch.zeros(4, 6),
        torch.ones(4, 6),
        torch.eye(5),
        torch.eye(6)[:4],
        matrix([3, 3, 3, 3], 4, 7).float(),
        matrix([2, 1, 0, 0], 4, 7).float(),
        torch.full((4, 6), 1e-30),
    ],
    ids=["zeros", "rank one", "identity", "rows of it", "all equal", "rank two", "tiny"],
)
@pytest.mark.parametrize("k", [1, 2, 4])
def test_it_is_finite_where_singular_values_meet_or_vanish(features, k):
    value, gradient = value_and_gradient(features, eta=1.0, k=k)
    assert np.isfinite(value)
    assert torch.isfinite(gradient).all()
    expected = np.linalg.svd(features.double().numpy(), compute_uv=False)
    smallest = np.sort(expected)[:k]
    assert value == pytest.approx(float(np.sum(smallest**2)), rel=1e-4, abs=1e-5)


def test_two_equal_images_cost_nothing():
    features = torch.randn(4, 9, dtype=torch.float64)
    features[1] = features[0]
    assert value_and_gradient(features, eta=1.0, k=1)[0] < 1e-25


def test_more_images_than_features_penalise_the_features_smallest_and_no_zeros():
    features = matrix([3, 2, 1], 48, 3)
    assert value_and_gradient(features, eta=1.0, k=1)[0] == pytest.approx(1, rel=1e-10)


def test_at_the_papers_size_float32_features_are_as_good_as_float64():
    features = torch.randn(48, 2048, generator=torch.Generator().manual_seed(0)).relu()
    value, gradient = value_and_gradient(features, eta=1e-3, k=1)
    expected, slope = reference(features, 1e-3, 1)
    assert value == pytest.approx(expected, rel=1e-6)
    torch.testing.assert_close(
        gradient.double(), slope, rtol=1e-5, atol=1e-6 * float(slope.abs().max())
    )


@pytest.mark.parametrize("smallest", [1e-3, 1e-4, 1e-5, 1e-6])
@pytest.mark.parametrize("shape", [(48, 256), (256, 48)])
def test_a_small_singular_value_of_float32_features_is_found(shape, smallest):
    values = [*np.geomspace(1, 1e-2, 47).tolist(), smallest]
    features = matrix(values, *shape, seed=3).float()
    # What float32 made of the matrix is what has to be shrunk.
    expected, slope = reference(features.double(), 1.0, 1)
    value, gradient = value_and_gradient(features, eta=1.0, k=1)
    assert value == pytest.approx(expected, rel=1e-4)
    torch.testing.assert_close(
        gradient.double(), slope, rtol=1e-3, atol=1e-3 * float(slope.abs().max())
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 10**6))
def test_transposing_the_batch_changes_nothing(images, width, seed):
    features = torch.randn(
        images, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    k = max(1, min(images, width) // 2)
    assert value_and_gradient(features, eta=1.0, k=k)[0] == pytest.approx(
        value_and_gradient(features.T, eta=1.0, k=k)[0], rel=1e-9, abs=1e-12
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 10**6))
def test_all_singular_values_together_are_the_frobenius_norm(images, width, seed):
    features = torch.randn(
        images, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    value, gradient = value_and_gradient(features, eta=1.0, k=min(images, width))
    assert value == pytest.approx(float(features.square().sum()), rel=1e-12)
    torch.testing.assert_close(gradient, 2 * features)


def test_more_values_than_there_are_is_an_error_that_says_so():
    with pytest.raises(UserError, match=r"k is 5.*\(4, 9\) have 4 singular values"):
        BSS(k=5)(step(torch.ones(4, 9)))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_features_that_are_not_numbers_give_a_term_that_is_not_one(bad):
    features = torch.ones(3, 4)
    features[1, 2] = bad
    assert not torch.isfinite(BSS()(step(features)))


def test_half_precision_features_give_a_float32_term_under_autocast():
    features = torch.randn(6, 20, generator=torch.Generator().manual_seed(1)).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = BSS(eta=1.0, k=2)(step(features))
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(reference(features.double(), 1.0, 2)[0], rel=1e-4)
