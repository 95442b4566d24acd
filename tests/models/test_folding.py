"""A folded network gives the outputs of the unfolded one, and what cannot be folded is named."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from timm.layers import BatchNormAct2d, StdConv2d
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bench.models.architecture import create_backbone
from bench.models.folding import fold

# Far more than rounding, in double and in single precision, of some fifty layers.
TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-4}


def _stirred(module: nn.Module, dtype: torch.dtype = torch.float64) -> nn.Module:
    """Give every normalisation random statistics, scales and biases."""
    draw = torch.Generator().manual_seed(3)
    for norm in module.modules():
        if isinstance(norm, _BatchNorm) and norm.running_mean is not None:
            norm.running_mean.copy_(0.3 * torch.randn(norm.num_features, generator=draw))
            norm.running_var.copy_(0.5 + torch.rand(norm.num_features, generator=draw))
            with torch.no_grad():
                norm.weight.copy_(0.5 + torch.rand(norm.num_features, generator=draw))
                norm.bias.copy_(0.3 * torch.randn(norm.num_features, generator=draw))
    return module.to(dtype).eval()


def _norms(module: nn.Module) -> set[str]:
    return {name for name, each in module.named_modules() if isinstance(each, _BatchNorm)}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    ("name", "size"),
    [("test_efficientnet", 48), ("test_resnet", 48), ("mobilenetv2_100", 64), ("inception_v3", 96)],
)
def test_a_folded_network_gives_the_same_outputs(name: str, size: int, dtype: torch.dtype) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = _stirred(create_backbone(name), dtype)
        inputs = torch.randn(2, 3, size, size, dtype=dtype)
    found = fold(module, inputs[:1])
    with torch.no_grad():
        before, after = module(inputs), found.module(inputs)
    assert (after - before).abs().max() <= TOLERANCE[dtype] * before.abs().max()
    assert before.std() > 1e-3
    # In these, each normalisation follows a convolution of its own.
    assert set(found.folded) == _norms(module)
    assert not found.left
    assert not _norms(found.module)
    assert not any("running" in name for name in found.module.state_dict())


class Net(nn.Module):
    """1×1 convolutions and normalisations in every relation that there is."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.BatchNorm2d(3)
        self.conv = nn.Conv2d(3, 4, 1)
        self.norm = BatchNormAct2d(4, eps=0.02)
        self.forked = nn.Conv2d(4, 4, 1, bias=False)
        self.beside = nn.BatchNorm2d(4)
        self.standardised = StdConv2d(4, 4, 1)
        self.after_standardised = nn.BatchNorm2d(4)
        self.twice = nn.Conv2d(4, 4, 1)
        self.after_twice = nn.BatchNorm2d(4)
        self.again = nn.BatchNorm2d(4)
        self.batch = nn.Conv2d(4, 4, 1)
        self.of_batch = nn.BatchNorm2d(4, track_running_stats=False)
        self.returned = nn.Conv2d(4, 4, 1)
        self.last = nn.BatchNorm2d(4)
        self.unused = nn.BatchNorm2d(4)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = self.norm(self.conv(self.first(images)))
        forked = self.forked(x)
        x = self.beside(forked) + forked
        x = self.after_standardised(self.standardised(x))
        x = self.again(self.twice(self.after_twice(self.twice(x))))
        x = self.of_batch(self.batch(x))
        returned = self.returned(x)
        return returned, self.last(returned)


def test_what_cannot_be_folded_stays_and_is_named() -> None:
    torch.manual_seed(0)
    module, inputs = _stirred(Net()), torch.randn(2, 3, 5, 5, dtype=torch.float64)
    found = fold(module, inputs)
    assert found.folded == {"norm": "conv"}
    assert found.left == {
        "first": "does not follow a convolution",
        "beside": "is not the only one to take its convolution's output",
        "after_standardised": "follows a convolution of weights that are no module's own",
        "after_twice": "follows a convolution that runs more than once",
        "again": "follows a convolution that runs more than once",
        "of_batch": "has no running statistics",
        "last": "is not the only one to take its convolution's output",
        "unused": "did not run",
    }
    with torch.no_grad():
        for before, after in zip(module(inputs), found.module(inputs), strict=True):
            torch.testing.assert_close(after, before, rtol=1e-12, atol=1e-12)
    # The original is as it was.
    assert isinstance(module.norm, BatchNormAct2d)
    # Its activation stays.
    assert isinstance(found.module.norm[1], nn.ReLU)


def test_the_folded_convolution_is_that_of_the_equation() -> None:
    torch.manual_seed(1)
    module, inputs = _stirred(Net()), torch.randn(2, 3, 5, 5, dtype=torch.float64)
    folded = fold(module, inputs).module
    conv, norm = module.conv, module.norm
    values = {n: t.detach().numpy() for n, t in norm.state_dict().items()}
    scale = values["weight"] / np.sqrt(values["running_var"] + 0.02)
    weight = conv.weight.detach().numpy() * scale[:, None, None, None]
    bias = (conv.bias.detach().numpy() - values["running_mean"]) * scale + values["bias"]
    np.testing.assert_allclose(folded.conv.weight.detach(), weight, rtol=1e-13)
    np.testing.assert_allclose(folded.conv.bias.detach(), bias, rtol=1e-13)


def test_a_normalisation_in_two_places_stays() -> None:
    norm = nn.BatchNorm2d(3)
    module = nn.Sequential(nn.Conv2d(3, 3, 1), norm, nn.Conv2d(3, 3, 1), norm)
    found = fold(module, torch.randn(1, 3, 2, 2))
    assert found.left == {"1": "runs more than once"}
    assert not found.folded
