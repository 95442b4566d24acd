"""A network's modules by their paths: what holds a state, what a suite names, whose it is."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.errors import UserError
from bench.models.network import Network
from bench.models.sections import own_state, sections, submodule, units


class Block(nn.Module):
    """A convolution, a normalisation without parameters, and a scale of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1, bias=False)
        self.norm = nn.BatchNorm2d(3, affine=False)
        self.scale = nn.Parameter(torch.ones(1))


class Backbone(nn.Module):
    """Two blocks, a token of its own, and modules that hold nothing."""

    num_features = 3

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 3, 1)
        self.relu = nn.ReLU()
        self.body = nn.Sequential(Block(), Block())
        self.register_buffer("grid", torch.zeros(2), persistent=False)
        self.token = nn.Parameter(torch.zeros(3))


@pytest.fixture
def network() -> Network:
    return Network(Backbone(), {"": 2}, name="small")


def test_units_are_all_that_hold_a_state_in_the_networks_order(network):
    assert list(units(network)) == [
        "", "stem", "body.0", "body.0.conv", "body.0.norm", "body.1", "body.1.conv", "body.1.norm",
    ]  # fmt: skip
    assert units(network)["body.0.conv"] is network.backbone.body[0].conv


def test_what_units_have_alone_is_the_whole_backbones_state_once(network):
    own = [
        f"{path}.{name}".removeprefix(".")
        for path, unit in units(network).items()
        for name in own_state(unit, below=False)
    ]
    counted = {n for n in network.backbone.state_dict() if "num_batches" not in n}
    assert sorted(own) == sorted(counted)


def test_a_state_has_statistics_and_no_counters_and_is_the_modules_own(network):
    block = submodule(network, "body.1")
    state = own_state(block)
    assert set(state) == {"scale", "conv.weight", "norm.running_mean", "norm.running_var"}
    assert set(own_state(block, below=False)) == {"scale"}
    state["norm.running_mean"].fill_(3.0)
    state["conv.weight"].zero_()
    assert block.norm.running_mean.tolist() == [3.0] * 3
    assert not block.conv.weight.any()
    assert not any(value.requires_grad for value in state.values())


def test_sections_are_in_the_networks_order_whatever_a_suite_writes(network):
    modules = {"last": "head", "second": "body.1", "all": "body", "stem": "stem"}
    found = sections(network, modules)
    assert list(found) == ["stem", "all", "second", "last"]
    assert found["last"] is network.head
    assert found["second"] is network.backbone.body[1]
    assert list(sections(network, dict(reversed(modules.items())))) == list(found)


@pytest.mark.parametrize(
    ("path", "near"), [("body.2", "'body.1'"), ("hed", "'head'"), ("", "one of: head, stem")]
)
def test_a_module_that_is_none_is_named(network, path, near):
    with pytest.raises(UserError, match=f"small has no module '{path}'\n.*{near}") as error:
        submodule(network, path, part="cka")
    assert error.value.field == "measure.part.cka.modules"


def test_one_of_several_heads_has_to_be_meant(network):
    network.replace_heads({"a": 2, "b": 2})
    with pytest.raises(UserError, match="the heads a, b, and head names a single one"):
        submodule(network, "head")
    network.replace_heads({"a": 2})
    assert submodule(network, "head") is network.heads["a"]


def test_a_module_is_named_once(network):
    with pytest.raises(UserError, match=r"modules: (one and other|other and one) are one module"):
        sections(network, {"one": "stem", "other": "stem"}, part="cka")
