"""TSVD: the truncated matrix is that of a direct SVD, and its gradient the one that is stated."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from bench.errors import UserError
from bench.models.network import Network
from bench.parts.checks.random_data import SMALL
from bench.parts.checks.trial import Trial
from bench.parts.patches.tsvd import TSVD, truncated


def features(images: int, width: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(images, width, generator=generator, dtype=torch.float64)


def gradient_at(matrix: Tensor, r: int, upper: Tensor) -> Tensor:
    leaf = matrix.detach().clone().requires_grad_()
    (found,) = torch.autograd.grad((truncated(leaf, r) * upper).sum(), leaf)
    return found


def best_of_rank(matrix: np.ndarray, rank: int) -> np.ndarray:
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    return (u[:, :rank] * s[:rank]) @ vt[:rank]


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 9), st.integers(2, 9), st.integers(1, 8), st.integers(0, 10**6))
def test_the_value_is_that_of_a_direct_decomposition(images, width, r, seed):
    r = min(r, min(images, width) - 1)
    matrix = features(images, width, seed)
    found = truncated(matrix, r).numpy()
    expected = best_of_rank(matrix.numpy(), min(images, width) - r)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert np.linalg.matrix_rank(found) == min(images, width) - r


@pytest.mark.parametrize("shape", [(6, 11), (11, 6), (7, 7)])
@pytest.mark.parametrize("r", [1, 3])
def test_the_gradient_is_that_of_truncation_at_the_truncated_matrix(shape, r):
    """By finite differences of NumPy's decomposition, at F as it is after it was truncated."""
    matrix, upper = features(*shape), features(*shape, seed=1)
    rank = min(shape) - r
    low = best_of_rank(matrix.numpy(), rank)
    slope, h = np.zeros(shape), 1e-6
    for place in np.ndindex(shape):
        step = np.zeros(shape)
        step[place] = h
        change = best_of_rank(low + step, rank) - best_of_rank(low - step, rank)
        slope[place] = (change * upper.numpy()).sum() / (2 * h)
    np.testing.assert_allclose(gradient_at(matrix, r, upper).numpy(), slope, atol=1e-7)


@pytest.mark.parametrize("gone", [1e-1, 1e-2, 1e-3])
def test_it_differs_from_the_decompositions_own_by_terms_in_the_ratio_of_the_values(gone):
    u, _, vt = torch.linalg.svd(features(4, 7), full_matrices=False)
    values = torch.tensor([3.0, 2.0, 1.0, gone], dtype=torch.float64)
    matrix, upper = u * values @ vt, features(4, 7, seed=1)
    leaf = matrix.clone().requires_grad_()
    left, kept, right = torch.linalg.svd(leaf, full_matrices=False)
    (exact,) = torch.autograd.grad(((left[:, :3] * kept[:3] @ right[:3]) * upper).sum(), leaf)
    apart = float((gradient_at(matrix, 1, upper) - exact).norm() / upper.norm())
    assert 0 < apart < 2 * gone


@pytest.mark.parametrize("apart", [0.0, 1e-14, 1e-9])
def test_it_has_a_bound_where_a_value_that_stays_and_one_that_goes_meet(apart):
    u, _, vt = torch.linalg.svd(features(4, 7), full_matrices=False)
    matrix = u * torch.tensor([3.0, 1 + apart, 1.0, 0.5], dtype=torch.float64) @ vt
    upper = features(4, 7, seed=1)
    assert float(gradient_at(matrix, 2, upper).norm()) <= float(upper.norm())


@pytest.mark.parametrize("matrix", [torch.zeros(4, 6), torch.ones(4, 6), torch.eye(5)])
def test_equal_values_and_zeros_are_truncated_too(matrix):
    found = truncated(matrix, 2)
    assert torch.linalg.svdvals(found)[-2:].abs().max() < 1e-6
    assert gradient_at(matrix, 2, torch.ones_like(matrix)).isfinite().all()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_features_that_are_not_numbers_stay_what_they_are(bad):
    matrix = torch.ones(3, 4)
    matrix[1, 2] = bad
    assert not truncated(matrix, 1).isfinite().all()


def test_half_precision_features_keep_their_precision_under_autocast():
    matrix = features(6, 20).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = truncated(matrix, 2)
    assert found.dtype == torch.bfloat16
    expected = best_of_rank(matrix.double().numpy(), 4)
    np.testing.assert_allclose(found.double().numpy(), expected, atol=0.02)


def test_as_many_as_there_are_is_an_error_that_says_so():
    with pytest.raises(UserError, match=r"r is 4, and features of shape \(4, 9\) have 4 singular"):
        truncated(features(4, 9), 4)


# -- in a network --------------------------------------------------------------------------------


def patched(r: int, tasks: tuple[str, ...] = ("",)) -> Network:
    return Trial(SMALL, tasks=tasks, patches=(TSVD(r=r),)).build().double()


def test_a_training_batch_is_truncated_before_the_head_and_features_stay_whole():
    network, inputs = patched(2).train(), SMALL.draw(0, 6).double()
    output = network(inputs)
    whole = network.backbone(inputs)
    torch.testing.assert_close(output.features, whole)
    low = torch.from_numpy(best_of_rank(whole.detach().numpy(), 4))
    # Called by itself, the head would truncate what it is given here too.
    torch.testing.assert_close(output.logits, nn.Linear.forward(network.heads[""], low))
    assert not torch.allclose(output.logits, nn.Linear.forward(network.heads[""], whole))


def test_what_is_evaluated_is_not_truncated():
    network, inputs = patched(3).eval(), SMALL.draw(0, 6).double()
    plain = Trial(SMALL).build().double().eval()
    torch.testing.assert_close(network(inputs).logits, plain(inputs).logits)


def test_every_task_truncates_and_so_does_a_copy():
    network = copy.deepcopy(patched(2, ("one", "two"))).train()
    for task in network.tasks:
        output = network(SMALL.draw(0, 6).double(), task=task)
        head = network.heads[task]
        assert not torch.allclose(output.logits, nn.Linear.forward(head, output.features))


def test_a_checkpoint_is_that_of_the_network_without_it():
    assert patched(1).state_dict().keys() == Trial(SMALL).build().state_dict().keys()
