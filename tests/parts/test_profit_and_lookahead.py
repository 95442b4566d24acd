"""Two updates as parts: what they do to the loop's training, beside the libraries' own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import timm.optim
import torch
from torch import Tensor, nn

from bench.errors import UserError
from bench.models.network import Network
from bench.parts.checks import check_part
from bench.parts.updates.lookahead import Lookahead
from bench.parts.updates.profit import Profit
from bench.spec.budget import gradients_per_step
from bench.spec.parts import built_in_parts
from bench.spec.recipe import SGD, Optimizer
from bench.training.optimizer import build_optimizer


class Plain:
    """What an update works on, of a network that nothing else trains."""

    def __init__(self, network: Network, rate: float, momentum: float = 0.0) -> None:
        self.network = network
        self.optimizer = torch.optim.SGD(network.parameters(), lr=rate, momentum=momentum)
        self.scaler = torch.amp.GradScaler("cpu", enabled=False)
        self.notes: dict[str, list[float]] = {}

    def apply(self) -> None:
        self.optimizer.step()

    def note(self, curve: str, value: float) -> None:
        self.notes.setdefault(curve, []).append(value)


class Body(nn.Module):
    """Features of vectors with a normalisation, as wide as they come."""

    num_features = 3

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.norm = nn.BatchNorm1d(3)

    def forward(self, inputs: Tensor) -> Tensor:
        features: Tensor = self.norm(self.linear(inputs))
        return features


def network() -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = Network(Body(), {"": 2}, name="body")
        nn.init.normal_(made.heads[""].weight)
    return made.train()


def gradients(made: Network, draws: torch.Generator) -> Callable[[], Tensor]:
    def gradient() -> Tensor:
        made.zero_grad(set_to_none=True)
        inputs = torch.randn(16, 3, generator=draws)
        loss = made(inputs).logits.square().mean()
        loss.backward()
        return loss.detach().reshape(1)

    return gradient


def trained(update: Profit | Lookahead, steps: int) -> tuple[Plain, dict[str, Tensor]]:
    made = network()
    training = Plain(made, 0.1, 0.9)
    step = update.begin(training)
    gradient = gradients(made, torch.Generator().manual_seed(1))
    for _ in range(steps):
        step(gradient)
    return training, made.state_dict()


@pytest.mark.parametrize("name", ["profit", "lookahead"])
def test_they_pass_the_checks_of_every_update(name: str) -> None:
    checks = check_part("update", name)
    assert [check.name for check in checks if not check.passed] == []
    said = {check.name: check.detail for check in checks}
    assert said["gradients"] == ("2 gradients a step" if name == "profit" else "1 gradient a step")


def test_a_suite_names_their_parameters_and_how_many_gradients_a_step_takes() -> None:
    profit = built_in_parts()["update", "profit"]
    lookahead = built_in_parts()["update", "lookahead"]
    assert profit.parameters(n_ref=2, ratio=100, statistics="main").model_dump() == {
        "n_ref": 2, "ratio": 100, "lr_ref": None, "follows": None, "reference": "sgd",
        "guard": True, "products": "global", "statistics": "main",
    }  # fmt: skip
    assert lookahead.parameters(k=5).model_dump() == {"k": 5, "alpha": 0.5}
    assert [gradients_per_step(profit, {"n_ref": n}) for n in (1, 2, 5)] == [2, 3, 6]
    assert gradients_per_step(lookahead, {"k": 5, "alpha": 0.5}) == 1


def test_lookahead_is_timms() -> None:
    _, ours = trained(Lookahead(k=3, alpha=0.4), steps=10)
    made = network()
    base = torch.optim.SGD(made.parameters(), lr=0.1, momentum=0.9)
    optimizer = timm.optim.Lookahead(base, alpha=0.4, k=3)
    gradient = gradients(made, torch.Generator().manual_seed(1))
    for number in range(10):
        gradient()
        if number == 0:
            # Slow weights begin where the fast ones do; timm's where they are synchronised first.
            optimizer.sync_lookahead()
        optimizer.step()
    for name, value in made.state_dict().items():
        torch.testing.assert_close(ours[name], value, msg=name)


def test_profit_takes_a_gradient_more_than_it_walks_and_notes_what_it_saw() -> None:
    training, _ = trained(Profit(n_ref=2), steps=4)
    assert set(training.notes) == set(Profit.curves)
    assert all(len(values) == 4 for values in training.notes.values())
    assert all(-1 <= value <= 1 for value in training.notes["profit/cosine"])


def test_a_ratio_of_averaged_velocities_rate_is_refused() -> None:
    training = Plain(network(), 0.1, 0.9)
    velocity = Optimizer(sgd=SGD(lr=0.1, momentum=0.9, velocity="average"))
    training.optimizer = build_optimizer(velocity, training.network)
    for told_by_it in (Profit(ratio=10), Profit(lr_ref=0.01, follows=True)):
        with pytest.raises(UserError, match="averaged velocities"):
            told_by_it.begin(training)
    Profit(lr_ref=0.01).begin(training)


@pytest.mark.parametrize(("statistics", "moves"), [("all", 9), ("main", 3)])
def test_profit_moves_statistics_by_every_gradient_or_by_the_last(
    statistics: str, moves: int
) -> None:
    _, state = trained(Profit(n_ref=2, statistics=statistics), steps=3)  # type: ignore[arg-type]
    assert int(state["backbone.norm.num_batches_tracked"]) == moves
