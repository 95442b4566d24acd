"""The network that follows another: its parameters, its statistics, its modes."""

from __future__ import annotations

import torch
from torch import nn

from bench.training.average import AveragedNetwork
from tests.training.conftest import toy_network

IMAGES = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_parameters_are_the_exponential_average_from_where_it_began():
    network = toy_network()
    network.put_beside({"": nn.Linear(5, 2)})
    average = AveragedNetwork(network)
    expected = {n: p.detach().double() for n, p in network.named_parameters()}
    for moved in (0.5, -2.0, 1.0):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(moved)
        average.follow(0.9)
        for name, parameter in network.named_parameters():
            expected[name] = 0.9 * expected[name] + 0.1 * parameter.detach().double()
    for name, parameter in average._copy.named_parameters():
        torch.testing.assert_close(parameter, expected[name].float())
    assert isinstance(average.modules, nn.Linear)
    torch.testing.assert_close(average.modules.weight, expected["beside..weight"].float())


def test_it_has_the_modes_of_the_network_and_statistics_of_its_own():
    network = toy_network().train()
    average = AveragedNetwork(network)
    network.eval()
    before = average._copy.state_dict()["backbone.norm.running_mean"].clone()
    still = average(IMAGES)
    torch.testing.assert_close(still.logits, network(IMAGES).logits.detach())
    assert average._copy.backbone.norm.running_mean.equal(before)
    network.train()
    output = average(IMAGES)
    assert not average._copy.backbone.norm.running_mean.equal(before)
    assert network.backbone.norm.running_mean.equal(before)
    assert not output.features.requires_grad
    assert not output.features.equal(still.features)
