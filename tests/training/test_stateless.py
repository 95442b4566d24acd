"""What a user's code keeps where no state is looked for: such a training is not gone on with."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.functional import relu

from bench.training.execute import execute
from bench.training.stateless import check_stateless
from bench.training.tree import CannotSaveError
from tests.training.conftest import Build, use
from tests.training.test_resume import SMALL, differences, gone_on, killed_after, resumed

PARTS = '''
import torch
from torch import nn
from bench.parts import Architecture, Penalty, network, penalty


class Count:
    runs = 0

    def scaled(self, maps):
        if torch.is_grad_enabled():
            self.runs += 1
        return maps * (1 + 0.01 * self.runs)


class Layers(nn.Module):
    num_features = 6

    def __init__(self, way):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 5, stride=4)
        self.scaled = torch.relu
        count = Count()
        if way == "hook":
            self.conv.register_forward_hook(lambda module, args, maps: count.scaled(maps))
        if way == "gradient":
            def grown(gradient):
                count.runs += 1
                return gradient * (1 + 0.1 * count.runs)
            self.conv.weight.register_hook(grown)
        if way == "closure":
            self.scaled = lambda maps: count.scaled(maps)
        if way == "method":
            self.scaled = count.scaled
        if way == "of a library's":
            self.conv.forward = lambda images, forward=self.conv.forward: count.scaled(forward(images))

    def forward(self, images):
        return torch.relu(self.scaled(self.conv(images))).mean((2, 3))


@network("keeping")
class Keeping(Architecture):
    """Keeps a count where its way says."""

    way: str = "nowhere"

    def build(self, input_shape):
        return Layers(self.way)


@penalty("growing")
class Growing(Penalty):
    """Counts its calls in a parameter."""

    calls: dict[str, float] = {}

    def __call__(self, step):
        self.calls[str(len(self.calls))] = 1.0
        return step.features.square().mean() * len(self.calls) * 0.01
'''  # noqa: E501


@pytest.mark.parametrize(
    ("way", "step"),
    [("nowhere", [3]), ("growing", [3])]
    + [(way, []) for way in ("hook", "gradient", "closure", "method", "of a library's")],
)
def test_a_training_is_gone_on_with_only_where_nothing_is_kept_unseen(
    way: str, step: list[int], job: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "keeping.py"
    file.write_text(PARTS)
    penalties = {"growing": {}} if way == "growing" else {}
    network = use("keeping", way="nowhere" if way == "growing" else way)
    work = job(SMALL, plugins=[file], network=network, penalties=penalties)
    undisturbed = execute(work)
    killed_after(work, 3, monkeypatch)
    again = gone_on(work)
    assert differences(undisturbed, again) == []
    assert resumed(again) == step


def scaling(factor: float) -> Callable[[float], float]:
    return lambda value: factor * value


def counting() -> Callable[[], int]:
    count = 0

    def called() -> int:
        nonlocal count
        count += 1
        return count

    return called


def collecting(into: list[int]) -> Callable[[int], None]:
    return lambda value: into.append(value)


def with_a_default(value: int, seen: list[int] = []) -> None:  # noqa: B006
    seen.append(value)


def test_functions_without_a_state_are_told_from_those_that_may_have_one() -> None:
    linear = nn.Linear(2, 2)
    for one in (scaling(2.0), partial(relu, inplace=True), torch.relu, relu, linear.forward, max):
        check_stateless(one)
    several = [counting(), collecting([]), [].append, with_a_default, partial(scaling(1.0), [])]
    for function in several:
        with pytest.raises(CannotSaveError):
            check_stateless(function)
