from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
from scipy import special, stats
from torch import nn
from torch.nn.functional import cross_entropy

from bench.data.streams import Stream
from bench.models.network import Network
from bench.parts.measurements import channel_attention
from bench.parts.measurements.channel_attention import (
    ChannelAttention,
    attention_weights,
    filter_effects,
    train_head,
)


def _network(name: str) -> Network:
    torch.manual_seed(0)
    backbone = timm.create_model(name, num_classes=0)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    network = Network(backbone, {"": 4}, name=name).eval()
    nn.init.normal_(network.heads[""].weight)
    return network


def _batches(count: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [
        (torch.randn(3, 3, 32, 32, generator=generator), torch.tensor([0, 1, 3]))
        for _ in range(count)
    ]


@pytest.mark.parametrize("name", ["test_resnet", "mobilenetv2_035"])
def test_a_filters_effect_is_that_of_zeroing_its_weights(name: str) -> None:
    network, batches = _network(name), _batches(2)
    effects = filter_effects(network, network.tap_names, batches)
    for tap in network.tap_names:
        weight = network.backbone.get_submodule(tap).weight
        assert effects[tap].shape == (weight.shape[0],)
        for channel in (0, weight.shape[0] - 1):
            kept, grown = weight[channel].detach().clone(), []
            with torch.no_grad():
                for images, labels in batches:
                    whole = cross_entropy(network(images).logits, labels)
                    weight[channel] = 0
                    grown.append(cross_entropy(network(images).logits, labels) - whole)
                    weight[channel] = kept
            expected = sum(grown).item() / 2
            assert effects[tap][channel].item() == pytest.approx(expected, abs=2e-5)


def test_maps_that_stages_join_are_cut_by_channel() -> None:
    network, batches = _network("densenet121"), _batches(1)
    tap = network.tap_names[-1]
    effects = filter_effects(network, [tap], batches)
    assert effects[tap].shape == (1024,)
    assert effects[tap].abs().min() < effects[tap].abs().max()


def test_the_size_of_the_chunks_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    network, batches = _network("test_resnet"), _batches(1)
    tap = network.tap_names[1]
    whole = filter_effects(network, [tap], batches)[tap]
    monkeypatch.setitem(channel_attention._CHUNK_BYTES, "cpu", 1)
    torch.testing.assert_close(
        filter_effects(network, [tap], batches)[tap], whole, atol=1e-5, rtol=0
    )


def test_nothing_is_left_on_the_network() -> None:
    network, batches = _network("test_resnet"), _batches(1)
    before = network(batches[0][0]).logits
    filter_effects(network, network.tap_names[:1], batches)
    assert torch.equal(network(batches[0][0]).logits, before)


def test_weights_are_the_softmax_of_the_standardised_effects() -> None:
    effects = np.random.default_rng(0).normal(0.3, 2.0, 40)
    expected = special.softmax(stats.zscore(effects) / 5)
    weights = attention_weights(torch.from_numpy(effects), 5.0)
    assert weights.dtype == torch.float32
    np.testing.assert_allclose(weights.numpy(), expected, rtol=1e-6)


def test_equal_effects_weigh_the_same() -> None:
    weights = attention_weights(torch.full((8,), 0.25, dtype=torch.float64), 5.0)
    assert torch.equal(weights, torch.full((8,), 1 / 8))


def test_the_head_is_trained_by_sgd_with_the_released_codes_decay() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(20, 6, generator=generator)
    labels = torch.arange(20) % 4
    settings = ChannelAttention(head_epochs=8, batch_size=32, lr=0.5)
    head = nn.Linear(6, 4)
    train_head(head, features, labels, settings, Stream(5))

    draw = Stream(5)
    reference = nn.Linear(6, 4)
    with torch.no_grad():
        for parameter in reference.parameters():
            start = draw.uniform(parameter.numel(), -(6**-0.5), 6**-0.5)
            parameter.copy_(torch.from_numpy(start).reshape(parameter.shape))
    sgd = torch.optim.SGD(reference.parameters(), lr=0.5, momentum=0.9, weight_decay=1e-4)
    decay = torch.optim.lr_scheduler.ExponentialLR(sgd, gamma=0.1 ** (1 / 6))
    for _ in range(8):  # the batch is the whole set, so that its order is no matter
        sgd.zero_grad()
        cross_entropy(reference(features), labels).backward()
        sgd.step()
        decay.step()
    torch.testing.assert_close(head.weight, reference.weight)
    torch.testing.assert_close(head.bias, reference.bias)
