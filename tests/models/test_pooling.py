from __future__ import annotations

import pytest
import torch
from torch.nn.functional import adaptive_avg_pool2d

from bench.models.pooling import averaging_matrix
from bench.models.weights import create_backbone


@pytest.mark.parametrize(("size", "out"), [(4, 7), (1, 7), (6, 7), (7, 7), (3, 5), (9, 4)])
def test_the_matrices_are_adaptive_average_pooling(size, out):
    maps = torch.randn(2, 3, size, size, dtype=torch.float64)
    matrix = averaging_matrix(size, out).double()
    pooled = matrix @ maps @ matrix.T
    torch.testing.assert_close(pooled, adaptive_avg_pool2d(maps, out), rtol=1e-6, atol=1e-7)


def test_a_vgg_of_small_images_computes_the_same_without_pooling(monkeypatch):
    backbone = create_backbone("vgg11").eval()
    head = backbone.pre_logits
    maps = torch.randn(1, 512, 4, 4)
    with torch.no_grad():
        ours = head(maps)
        plain = head.forward(maps)  # without its hook: timm's own pooling
    torch.testing.assert_close(ours, plain)
    import timm.models.vgg as vgg

    def refuse(*_: object) -> None:
        raise AssertionError("has no deterministic gradient on CUDA")

    monkeypatch.setattr(vgg.F, "adaptive_avg_pool2d", refuse)
    with torch.no_grad():
        head(maps)


def test_matrices_that_stay_on_a_device_are_those_made_anew(monkeypatch):
    backbone = create_backbone("vgg11").eval()
    head = backbone.pre_logits
    maps = torch.randn(1, 512, 4, 5)
    with torch.no_grad():
        expected = head(maps)
    monkeypatch.setattr("bench.models.pooling._KEPT_ON", frozenset({"cpu"}))
    with torch.inference_mode():
        assert torch.equal(head(maps), expected)
    # What inference mode has left can be trained through.
    maps.requires_grad_(True)
    found = head(maps)
    assert torch.equal(found, expected)
    found.sum().backward()
    assert maps.grad is not None
    assert head(maps.detach().double().float()).dtype == torch.float32
