"""Distances between networks: which parameters are counted, of which modules."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.errors import UserError
from bench.parts.kinds import Measured
from bench.parts.measurements.distance import Distance
from tests.parts.pairs import Backbone, Pair, network


class Scaled(Backbone):
    """With parameters of one element, as Fixup has them, and running statistics."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.scale = nn.Parameter(torch.randn(1))
        self.norm = nn.BatchNorm1d(3)
        self.alone = nn.Module()
        self.alone.bias = nn.Parameter(torch.randn(()))
        self.norm.running_mean.copy_(torch.randn(3))  # type: ignore[union-attr, operator]


def given(classes: int = 4) -> Pair:
    return Pair(network(Scaled(0), seed=0), network(Scaled(1), classes, seed=1))


def measured(pair: Pair, **settings: Any) -> Measured:
    return Distance(**settings)(pair)  # type: ignore[arg-type]


def apart(pair: Pair, *names: str) -> float:
    """Return the distance over parameters whose names begin so, element by element."""
    first, second = (dict(pair.networks[role].named_parameters()) for role in pair.roles)
    chosen = [n for n in first if n.startswith(names)]
    assert chosen

    def flat(of: dict[str, nn.Parameter]) -> Tensor:
        return torch.cat([of[name].detach().flatten() for name in chosen])

    return math.dist(flat(first).tolist(), flat(second).tolist())


def test_the_whole_is_all_of_the_backbones_parameters_and_no_statistics() -> None:
    pair = given()
    found = measured(pair)
    assert found.metrics["distance"] == pytest.approx(apart(pair, "backbone."))
    assert list(found.curves["distance/module"].at) == [1, 2, 3, 4, 5]
    assert found.curves["distance/module"].value[1] == pytest.approx(apart(pair, "backbone.first"))


def test_a_named_module_is_all_that_lies_within_it() -> None:
    pair = given()
    found = measured(pair, modules={"end": "last", "fc": "head"}).metrics
    assert found["distance/end"] == pytest.approx(apart(pair, "backbone.last."))
    assert found["distance/fc"] == pytest.approx(apart(pair, "head."))
    # That the head is named does not count it in all.
    assert found["distance"] == measured(pair).metrics["distance"]


def test_the_head_is_counted_where_it_is_asked_for() -> None:
    pair = given()
    found = measured(pair, head="counted")
    assert found.metrics["distance"] == pytest.approx(apart(pair, "backbone.", "head."))
    norm = math.hypot(*(float(p.detach().norm()) for p in pair.networks["first"].parameters()))
    expected = found.metrics["distance"] / norm
    assert found.metrics["distance/relative"] == pytest.approx(expected)
    assert found.curves == measured(pair).curves


def test_scalars_are_left_out_where_it_is_asked_for_and_keep_their_numbers() -> None:
    pair = given()
    found = measured(pair, scalars="left-out", modules={"end": "last"})
    weights = "backbone.first", "backbone.last", "backbone.norm"
    assert found.metrics["distance"] == pytest.approx(apart(pair, *weights))
    # The root has a scale alone, and the last unit a bias of no dimension.
    assert list(found.curves["distance/module"].at) == [2, 3, 4]
    with pytest.raises(UserError, match=r"modules.mine: alone has no parameters that are counted"):
        measured(pair, scalars="left-out", modules={"mine": "alone"})


def test_heads_of_other_tasks_have_no_distance() -> None:
    pair = given(classes=5)
    assert measured(pair).metrics
    for settings in ({"head": "counted"}, {"modules": {"fc": "head"}}):
        with pytest.raises(UserError, match="do not have the same parameters of head"):
            measured(pair, **settings)


def test_networks_without_heads_are_not_at_the_distance_of_what_stands_in_for_them() -> None:
    pair = given()
    for role in pair.roles:
        pair.networks[role].replace_heads({"": 1})
    with pytest.raises(UserError, match=r"distance.modules.fc: the network first came without a h"):
        measured(pair, modules={"fc": "head"})


def test_weights_of_another_shape_and_the_same_size_are_refused() -> None:
    class Turned(Backbone):
        def __init__(self, *shape: int) -> None:
            super().__init__(0)
            self.more = nn.Linear(*shape, bias=False)

    with pytest.raises(UserError, match="do not have the same parameters"):
        measured(Pair(network(Turned(2, 8)), network(Turned(8, 2))))
