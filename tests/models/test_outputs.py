"""Features of a module are what it returned, whatever the network does next."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from bench.errors import UserError
from bench.models.network import Network
from bench.models.outputs import OutputReader


class Small(nn.Module):
    """A convolution whose output is overwritten, a map that runs twice, and odd modules."""

    num_features = 4

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(1, 4, 2)
        self.act = nn.ReLU(inplace=True)
        self.twice = nn.Linear(4, 4)
        self.windows = nn.Linear(3, 3)
        self.idle = nn.Linear(1, 1)
        self.pair = Two()

    def forward(self, images: Tensor) -> Tensor:
        maps = self.act(self.conv(images))
        self.windows(images.flatten(0, 2))
        self.pair(maps)
        once: Tensor = self.twice(maps.mean(dim=(2, 3)))
        again: Tensor = self.twice(once)
        return again


class Two(nn.Module):
    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        return maps, maps


IMAGES = torch.randn(7, 1, 3, 3, generator=torch.Generator().manual_seed(2))


def reader(pooling: str = "flatten") -> tuple[Small, OutputReader]:
    backbone = Small().eval()
    network = Network(backbone, {"": 2}, name="small").eval()
    modules = {n: m for n, m in network.named_modules() if n} | {"head": network.heads[""]}
    return backbone, OutputReader(network, modules, pooling, IMAGES[:1])  # type: ignore[arg-type]


def test_an_output_is_kept_as_the_module_returned_it() -> None:
    backbone, read = reader()
    before = backbone.conv(IMAGES).detach().double().flatten(1)
    assert (before < 0).any()
    found = read(IMAGES)
    assert found["backbone.conv"].equal(before)
    assert found["backbone.act"].equal(before.clamp(min=0))
    assert found["backbone.conv"].dtype == torch.float64


def test_a_float64_networks_output_is_copied_too() -> None:
    network = Network(Small(), {"": 2}, name="small").double().eval()
    conv = network.backbone.conv
    read = OutputReader(network, {"conv": conv}, "flatten", IMAGES[:1].double())  # type: ignore[dict-item]
    assert (read(IMAGES.double())["conv"] < 0).any()


def test_a_module_that_runs_twice_has_the_outputs_of_both_runs() -> None:
    backbone, read = reader()
    once = backbone.twice(backbone.act(backbone.conv(IMAGES)).mean(dim=(2, 3)))
    expected = torch.cat([once, backbone.twice(once)], dim=1).double()
    assert read.widths["backbone.twice"] == 8
    torch.testing.assert_close(read(IMAGES)["backbone.twice"], expected)


def test_a_map_is_averaged_where_it_is_asked_for() -> None:
    backbone, read = reader("average")
    assert read.widths["backbone.conv"] == 4
    expected = backbone.conv(IMAGES).double().mean(dim=(2, 3))
    torch.testing.assert_close(read(IMAGES)["backbone.conv"], expected)


def test_what_has_not_a_row_an_example_is_not_read() -> None:
    _, read = reader()
    assert set(read.widths) == {
        *("backbone", "backbone.conv", "backbone.act", "backbone.twice", "head"),
    }


def test_no_hook_is_left() -> None:
    backbone, read = reader()
    read(IMAGES)
    assert not any(module._forward_hooks for module in backbone.modules())


def test_maps_whose_channels_stand_last_are_not_averaged_over_the_wrong_axes() -> None:
    class Last(nn.Module):
        num_features = 5

        def __init__(self) -> None:
            super().__init__()
            self.map = nn.Linear(1, 5)

        def forward(self, images: Tensor) -> Tensor:
            found: Tensor = self.map(images.permute(0, 2, 3, 1)).mean(dim=(1, 2))
            return found

    network = Network(Last(), {"": 2}, name="last").eval()
    modules = {"map": network.backbone.map}
    assert OutputReader(network, modules, "flatten", IMAGES[:1]).widths == {"map": 45}  # type: ignore[arg-type]
    with pytest.raises(UserError, match="map of last returns maps whose channels stand last"):
        OutputReader(network, modules, "average", IMAGES[:1])  # type: ignore[arg-type]
