"""Half the squared norm of many tensors: its gradient is the tensors."""

from __future__ import annotations

import pytest
import torch

from bench.parts.squares import half_squared_distance, half_squared_norm, trained


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_gradient_of_half_the_squares_is_the_tensor(layout):
    tensors = [torch.randn(4, 3, 2, 2).to(memory_format=layout), torch.zeros(3), torch.randn(5)]
    for tensor in tensors:
        tensor.requires_grad_()
    (3 * half_squared_norm(tensors)).backward()
    for tensor in tensors:
        torch.testing.assert_close(tensor.grad, 3 * tensor.detach())


def test_the_gradient_of_half_the_distance_is_the_difference():
    tensor, origin = torch.randn(4, 3, requires_grad=True), torch.randn(4, 3, requires_grad=True)
    half_squared_distance([tensor], [origin]).backward()
    torch.testing.assert_close(tensor.grad, (tensor - origin).detach())
    assert origin.grad is None


def test_nothing_has_no_squares_and_lists_must_match():
    assert half_squared_norm([]) == 0
    with pytest.raises(ValueError, match="1 tensors, but 2 origins"):
        half_squared_distance([torch.ones(1)], [torch.ones(1), torch.ones(1)])


def test_values_by_hand():
    assert half_squared_norm([torch.tensor([3.0]), torch.tensor([[4.0]])]) == 12.5
    assert half_squared_distance([torch.tensor([3.0])], [torch.tensor([1.0])]) == 2


def test_what_trains_and_what_of_it_is_a_weight():
    parameters = {
        "frozen": torch.ones(2, 2),
        "weight": torch.ones(2, 2, requires_grad=True),
        "bias": torch.ones(2, requires_grad=True),
    }
    assert list(trained(parameters)) == ["weight", "bias"]
    assert list(trained(parameters, "weights")) == ["weight"]
