"""Rewinding: against networks put together by hand, with statistics and without."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from bench.errors import UserError
from bench.models.network import Network
from bench.parts.measurements.rewinding import Rewinding
from tests.parts.known import Known, linear, network_of


def _network(seed: int) -> Network:
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    norm = nn.BatchNorm1d(8)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    with torch.no_grad():
        norm.weight.copy_(drawn(8))
        norm.bias.copy_(drawn(8))
        norm.running_mean.copy_(2 * drawn(8))
        norm.running_var.copy_(drawn(8).square() + 0.1)
    first, second = linear(drawn(8, 5)), linear(drawn(6, 8))
    layers = {"first": first, "norm": norm, "relu": nn.ReLU(), "second": second}
    return network_of(layers, drawn(4, 6))


@pytest.fixture
def given() -> Known:
    networks = {"initial": _network(1), "final": _network(2)}
    inputs = torch.randn(400, 5, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        targets = networks["final"](inputs).logits.argmax(dim=1)
    # One row in eight has another class: the final network errs, too.
    targets[::8] = (targets[::8] + 1) % 4
    return Known(networks, inputs, targets)


def _accuracy(given: Known, *rewound: str) -> float:
    """The final network's, with the values of some names from the initial one, in NumPy."""
    initial, final = (
        {name: v.double().numpy() for name, v in given.network(role).state_dict().items()}
        for role in ("initial", "final")
    )
    state = {name: (initial if name.startswith(rewound) else final)[name] for name in final}
    inputs, targets = next(given.batches("test", 400))
    maps = inputs.double().numpy() @ state["backbone.first.weight"].T
    mean, variance = (state[f"backbone.norm.running_{what}"] for what in ("mean", "var"))
    maps = (maps - mean) / np.sqrt(variance + 1e-5)
    maps = maps * state["backbone.norm.weight"] + state["backbone.norm.bias"]
    features = np.maximum(maps, 0) @ state["backbone.second.weight"].T
    answers = (features @ state["head.weight"].T).argmax(axis=1)
    return float((answers == targets.numpy()).mean())


NORM = {
    "rewound": ("backbone.norm.",),
    "kept": ("backbone.norm.weight", "backbone.norm.bias"),
}


@pytest.mark.parametrize("statistics", NORM)
def test_what_is_lost_is_that_of_a_network_put_together_by_hand(
    given: Known, statistics: str
) -> None:
    found = Rewinding(modules={"n": "norm", "fc": "head"}, statistics=statistics)(given)
    whole = _accuracy(given, "nothing")
    assert whole == 0.875
    names = (("backbone.first",), NORM[statistics], ("backbone.second",), ("head",))
    lost = [whole - _accuracy(given, *own) for own in names]
    line = found.curves["rewinding/module"]
    assert list(line.at) == [1, 2, 3, 4]
    assert list(line.value) == pytest.approx(lost)
    assert found.metrics == pytest.approx(
        {"rewinding/module": sum(lost) / 4, "rewinding/n": lost[1], "rewinding/fc": lost[3]}
    )
    assert min(lost) > 0.1


def test_statistics_make_a_difference(given: Known) -> None:
    lost = {s: Rewinding(statistics=s)(given).curves["rewinding/module"].value for s in NORM}
    assert lost["rewound"][1] != lost["kept"][1]
    assert [lost["rewound"][i] for i in (0, 2, 3)] == [lost["kept"][i] for i in (0, 2, 3)]


def test_another_score_is_asked_for_by_its_name(given: Known) -> None:
    found = Rewinding(modules={"fc": "head"}, score="mean_class_accuracy")(given)
    assert (
        found.metrics["rewinding/fc"]
        != Rewinding(modules={"fc": "head"})(given).metrics["rewinding/fc"]
    )
    with pytest.raises(UserError, match=r"no metric 'top_1'(?s:.*)did you mean 'top1'"):
        Rewinding(score="top_1")(given)


def test_a_head_of_other_classes_is_refused(given: Known) -> None:
    initial = given.network("initial")
    initial.replace_heads({"": 3}, bias=False)
    given._networks["initial"] = initial
    with pytest.raises(UserError, match=r"'head' is not the same one(?s:.*)checkpoint: start"):
        Rewinding()(given)
