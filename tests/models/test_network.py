"""A network is a timm backbone with pooled features, a linear head, and taps."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
from torch.nn.functional import linear

from bench.errors import UserError
from bench.models.network import Network, state_on_cpu

TAPS = ("layer1.0.conv2", "layer2.0.conv2", "layer3.0.conv3", "layer4.0.conv2")


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    network = Network(timm.create_model("test_resnet", num_classes=0), {"": 5}, name="test_resnet")
    torch.nn.init.normal_(network.head.weight)
    return network.eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def test_features_are_timms_and_logits_are_linear_in_them(network, images):
    output = network(images)
    pooled = network.backbone.global_pool(network.backbone.forward_features(images))
    torch.testing.assert_close(output.features, pooled)
    expected = linear(pooled, network.head.weight, network.head.bias)
    torch.testing.assert_close(output.logits, expected)
    assert output.features.shape == (2, 96)
    assert output.maps == {}


def test_a_new_head_is_zero_and_draws_nothing():
    backbone = timm.create_model("test_resnet", num_classes=0)
    state = torch.get_rng_state()
    network = Network(backbone, {"": 5}, name="test_resnet")
    assert torch.equal(state, torch.get_rng_state())
    assert not network.head.weight.any()
    assert not network.head.bias.any()


@pytest.mark.parametrize("name", ["vgg11", "mobilenetv3_small_050", "densenet121"])
def test_the_head_fits_backbones_whose_pooled_features_are_not_the_last_maps(name):
    network = Network(timm.create_model(name, num_classes=0), {"": 4}, name=name).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 3, 224, 224)).logits.shape == (1, 4)


def test_maps_are_what_the_named_modules_return(network, images):
    seen = {}
    for name in TAPS:
        module = network.backbone.get_submodule(name)
        module.register_forward_hook(lambda _m, _a, out, name=name: seen.update({name: out}))
    maps = network(images, taps=TAPS).maps
    assert list(maps) == list(TAPS)
    assert [m.shape[1] for m in maps.values()] == [32, 48, 192, 96]
    for name in TAPS:
        torch.testing.assert_close(maps[name], seen[name], rtol=0, atol=0)


def test_tapping_changes_no_output_and_leaves_nothing_behind(network, images):
    plain = network(images)
    tapped = network(images, taps=TAPS)
    assert torch.equal(plain.logits, tapped.logits)
    assert network(images).maps == {}
    assert all(tap.value is None for tap in network._taps.values())


def test_gradients_flow_through_maps(network, images):
    network(images, taps=TAPS).maps["layer1.0.conv2"].sum().backward()
    assert network.backbone.layer1[0].conv2.weight.grad is not None
    assert network.backbone.layer2[0].conv1.weight.grad is None


def test_a_copy_has_taps_of_its_own(network, images):
    before = network(images, taps=TAPS).maps
    other = copy.deepcopy(network)
    with torch.no_grad():
        other.backbone.layer1[0].conv2.weight.zero_()
    assert not other(images, taps=TAPS).maps["layer1.0.conv2"].any()
    again = network(images, taps=TAPS).maps
    torch.testing.assert_close(again["layer1.0.conv2"], before["layer1.0.conv2"], rtol=0, atol=0)


def test_a_tap_that_the_rule_does_not_give_is_an_error(network, images):
    with pytest.raises(KeyError, match="layer9"):
        network(images, taps=["layer9"])


def test_a_map_is_kept_as_the_convolution_gave_it_where_the_activation_works_in_place(images):
    torch.manual_seed(0)
    network = Network(timm.create_model("vgg11", num_classes=0), {"": 2}, name="vgg11").eval()
    with torch.no_grad():
        plain = network.backbone.forward_features(images)
        maps = network(images, taps=network.tap_names).maps
        assert torch.equal(network.backbone.forward_features(images), plain)
    # After the in-place ReLU none would be negative.
    assert all((m < 0).any() for m in maps.values())


def test_state_on_cpu_is_a_contiguous_copy(network):
    network.to(memory_format=torch.channels_last)
    state = state_on_cpu(network)
    assert all(t.is_contiguous() for t in state.values())
    before = state["head.bias"].clone()
    with torch.no_grad():
        network.head.bias.add_(1)
    assert torch.equal(state["head.bias"], before)
    assert set(state) == set(network.state_dict())


# several tasks


def two_tasks() -> Network:
    torch.manual_seed(0)
    backbone = timm.create_model("test_resnet", num_classes=0)
    network = Network(backbone, {"a": 5, "b": 2}, name="test_resnet")
    for head in network.heads.values():
        torch.nn.init.normal_(head.weight)
    return network


def test_a_single_tasks_parameters_have_the_names_and_order_of_a_network_with_one_head(network):
    names = [name for name, _ in network.named_parameters()]
    backbone = [f"backbone.{name}" for name, _ in network.backbone.named_parameters()]
    assert names == [*backbone, "head.weight", "head.bias"]
    assert list(network.heads) == [""]
    assert network.heads[""] is network.head
    assert network.widths == {"": 5}


def test_each_task_has_a_head_over_the_same_features(images):
    network = two_tasks().eval()
    a, b = (network(images, task=task) for task in ("a", "b"))
    assert torch.equal(a.features, b.features)
    assert (a.logits.shape, b.logits.shape) == ((2, 5), (2, 2))
    torch.testing.assert_close(b.logits, network.heads["b"](b.features))
    assert [n for n in network.state_dict() if n.startswith("head.")] == [
        "head.a.weight", "head.a.bias", "head.b.weight", "head.b.bias",
    ]  # fmt: skip
    with pytest.raises(KeyError, match="c"):
        network(images, task="c")


@pytest.mark.parametrize("widths", [{}, {"": 2, "b": 3}, {"a.b": 2}, {"training": 2}])
def test_tasks_need_names_that_tell_them_apart(widths):
    with pytest.raises(ValueError, match="names of tasks"):
        Network(timm.create_model("test_resnet", num_classes=0), widths, name="test_resnet")


@pytest.mark.parametrize("task", ["items", "train", "weight"])
def test_a_task_may_have_any_other_name(task, images):
    backbone = timm.create_model("test_resnet", num_classes=0)
    network = Network(backbone, {task: 3, "b": 2}, name="test_resnet").eval()
    assert network(images, task=task).logits.shape == (2, 3)
    network.load_state_dict(network.state_dict())


def test_heads_can_be_left_as_they_were_found_or_be_new(network):
    states = {t: head.state_dict() for t, head in two_tasks().heads.items()}
    network.load_heads(states)
    assert network.widths == {"a": 5, "b": 2}
    assert torch.equal(network.heads["b"].weight, states["b"]["weight"])
    network.replace_heads({"": 7}, bias=False)
    assert network.head.weight.shape == (7, 96)
    assert network.head.bias is None
    assert not network.head.weight.any()


NORMALISATIONS = ["bn1", "layer2.0.bn1"]


def test_private_modules_are_trained_by_their_own_task_and_the_rest_by_both(images):
    network = two_tasks()
    network.private(NORMALISATIONS)
    before = {n: t.clone() for n, t in network.state_dict().items()}
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)

    def moved() -> set[str]:
        now = network.state_dict()
        return {name for name in now if not torch.equal(now[name], before[name])}

    network(images, task="a").logits.square().sum().backward()
    assert all(p.grad is None for n, p in network.named_parameters() if ".b." in n)
    optimizer.step()
    changed = moved()
    assert "private.a.bn1.weight" in changed
    assert "private.a.layer2.0.bn1.running_mean" in changed
    assert "backbone.conv1.0.weight" in changed
    assert not {name for name in changed if name.startswith(("private.b.", "head.b."))}
    assert not {n for n in before if n.startswith(("backbone.bn1.", "backbone.layer2.0.bn1."))}
    before = {n: t.clone() for n, t in network.state_dict().items()}
    optimizer.zero_grad()
    network(images, task="b").logits.square().sum().backward()
    optimizer.step()
    changed = moved()
    assert {
        "private.b.bn1.running_var",
        "private.b.bn1.bias",
        "backbone.conv1.0.weight",
    } <= changed
    assert not {name for name in changed if name.startswith(("private.a.", "head.a."))}


def test_a_private_module_computes_what_a_network_of_that_task_alone_would(images):
    network = two_tasks()
    alone = copy.deepcopy(network.backbone)
    network.private(NORMALISATIONS)
    with torch.no_grad():
        for own in (alone.bn1.weight, network.backbone_parameters("b")["bn1.weight"]):
            own.mul_(3)
        assert torch.equal(network(images, task="b").features, alone(images))
    state = {n: t for n, t in alone.state_dict().items() if n.startswith("bn1.")}
    found = network.state_dict()
    assert all(torch.equal(found[f"private.b.{n}"], t) for n, t in state.items())


def test_with_one_task_nothing_is_private(network, images):
    state = {name: value.clone() for name, value in network.state_dict().items()}
    plain = network(images).logits
    network.private(NORMALISATIONS)
    assert list(network.state_dict()) == list(state)
    assert network.private_names == ()
    assert torch.equal(network(images).logits, plain)
    assert list(network.backbone_parameters()) == [
        n for n, _ in network.backbone.named_parameters()
    ]


def test_parameters_and_the_body_hold_every_tasks_copy():
    network = two_tasks()
    names = [name for name, _ in network.backbone.named_parameters()]
    network.private(NORMALISATIONS)
    assert list(network.backbone_parameters("a")) == names
    shared = [n for n in names if not n.startswith(("bn1.", "layer2.0.bn1."))]
    own = [n for n in names if n not in shared]
    found = {name for name, _ in network.named_parameters() if not name.startswith("head.")}
    assert found == {f"backbone.{n}" for n in shared} | {
        f"private.{t}.{n}" for t in "ab" for n in own
    }
    assert len(list(network.body().parameters())) == len(found)
    network.body().requires_grad_(False).eval()
    assert {n for n, p in network.named_parameters() if p.requires_grad} == {
        f"head.{t}.{n}" for t in "ab" for n in ("weight", "bias")
    }
    assert not network.backbone_parameters("b")["bn1.weight"].requires_grad


def test_what_lies_within_a_private_module_goes_with_it(images):
    network = two_tasks().eval()
    plain = network(images, task="a").features
    network.private(["layer2", "layer2.0.bn1"])
    network.private(["layer2.0.bn1", "bn1"])
    assert network.private_names == ("layer2", "bn1")
    assert torch.equal(network(images, task="a").features, plain)


def test_names_that_cannot_be_private_are_errors():
    network = two_tasks()
    with pytest.raises(UserError, match="no module 'bn_1'") as caught:
        network.private(["bn_1"])
    assert "bn1" in caught.value.remedy
    network.private(["layer2.0.bn1"])
    with pytest.raises(UserError, match="private already"):
        network.private(["layer2"])
    with pytest.raises(ValueError, match="private to the tasks"):
        network.replace_heads({"": 3})


def test_taps_work_on_private_modules_and_copies_of_the_network(images):
    network = two_tasks().eval()
    plain = network(images, taps=TAPS, task="a").maps
    network.private(["layer1", "bn1"])
    assert network.tap_names == TAPS
    with torch.no_grad():
        network.backbone_parameters("b")["layer1.0.conv2.weight"].zero_()
    for net in (network, copy.deepcopy(network)):
        a, b = (net(images, taps=TAPS, task=task).maps for task in ("a", "b"))
        assert all(torch.equal(a[name], plain[name]) for name in TAPS)
        assert not b["layer1.0.conv2"].any()


def test_a_network_without_stages_of_any_input_has_no_taps():
    plain = torch.nn.Linear(2, 3)
    plain.num_features = 3
    network = Network(plain, {"": 2}, name="plain")
    with pytest.raises(UserError, match="no stages"):
        _ = network.tap_names
