"""What a step costs: tensors counted by the byte, times by blocks side by side."""

from __future__ import annotations

import itertools

import pytest
import torch

from bench.errors import DataError
from bench.parts.checks.measuring import RandomMeasuring
from bench.parts.checks.random_data import NETWORKS
from bench.parts.checks.trial import Trial
from bench.parts.measurements import step_cost
from bench.parts.measurements.step_cost import StepCost
from bench.training.memory import LiveTensors

MLP = NETWORKS[-1]
FEW = {"blocks": 2, "steps": 1, "batch_size": 8}


def measured(**settings: object) -> dict[str, float]:
    network = Trial(MLP).build()
    measuring = RandomMeasuring({"network": network}, MLP, data=True)
    return dict(StepCost(**{**FEW, **settings})(measuring).metrics)  # type: ignore[arg-type]


def parameters() -> tuple[int, int]:
    """Bytes of all parameters, and their number."""
    own = list(Trial(MLP).build().parameters())
    return 4 * sum(p.numel() for p in own), len(own)


# -- memory --------------------------------------------------------------------------------------


def test_tensors_count_as_long_as_they_or_a_view_of_them_live() -> None:
    given = torch.zeros(500)
    with LiveTensors([given]) as live:
        made = torch.ones(1000)
        assert (live.now, live.peak) == (4000, 4000)
        view = made[:10]
        del made
        assert live.now == 4000
        del view
        assert (live.now, live.peak) == (0, 4000)
        live.forget_peak()
        given.add_(1)
        assert (live.now, live.peak) == (0, 0)


def test_what_a_gradient_needs_counts_until_it_is_there() -> None:
    with LiveTensors() as live:
        weight = torch.nn.Parameter(torch.ones(1000))
        squared = weight.exp()
        loss = squared.sum()
        del squared
        # The output of exp is kept for its gradient.
        assert live.now == 8000 + 4
        loss.backward()
        del loss
        assert live.now == 8000
        weight.grad = None
        assert live.now == 4000
    assert live.peak >= 12_000


@pytest.mark.parametrize(
    ("settings", "copies", "counters"),
    [
        ({"optimizer": "sgd"}, 1, 0),
        ({"optimizer": "adam"}, 2, 1),
        ({"optimizer": "adamw"}, 2, 1),
        ({"update": "lookahead"}, 3, 1),
    ],
)
def test_kept_is_what_an_optimizer_has_a_parameter(settings, copies, counters) -> None:
    size, tensors = parameters()
    # Adam counts the steps of each tensor, in four bytes.
    expected = (copies * size + counters * 4 * tensors) / 1e6
    assert measured(**settings)["kept"] == pytest.approx(expected, rel=1e-12)


def test_profit_keeps_its_walk_and_needs_the_start_beside_it() -> None:
    size, _ = parameters()
    adam, profit = measured(), measured(update="profit")
    assert profit["kept"] - adam["kept"] >= size / 1e6
    assert profit["machine/memory"] - adam["machine/memory"] >= 2 * size / 1e6
    assert profit["machine/memory/ratio"] == profit["machine/memory"] / adam["machine/memory"]
    assert adam["machine/memory/ratio"] == 1


# -- time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_ref", [1, 2])
def test_where_gradients_alone_take_time_profit_takes_one_more_than_it_walks(
    monkeypatch: pytest.MonkeyPatch, n_ref: int
) -> None:
    seconds = 0.0
    gradient = step_cost._Steps._gradient

    def slow(steps: step_cost._Steps) -> torch.Tensor:
        nonlocal seconds
        seconds += 0.25
        return gradient(steps)

    monkeypatch.setattr(step_cost._Steps, "_gradient", slow)
    monkeypatch.setattr(step_cost, "_now", lambda device: seconds)
    found = measured(update="profit", n_ref=n_ref)
    assert found["gradients"] == n_ref + 1
    assert found["machine/step/ratio"] == n_ref + 1
    assert found["machine/step"] == 250 * (n_ref + 1)
    assert measured()["machine/step/ratio"] == 1


def test_what_slows_the_machine_down_for_a_while_slows_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = itertools.count()

    def clock(device: torch.device) -> float:
        """A block is looked at four times; each takes twice as long as the one before."""
        block, look = divmod(next(looks), 4)
        return float(2**block * look)

    monkeypatch.setattr(step_cost, "_now", clock)
    assert measured(blocks=3)["machine/step/ratio"] == pytest.approx(1)


def test_targets_that_are_numbers_are_refused() -> None:
    measuring = RandomMeasuring({"network": Trial(MLP).build()}, MLP, data=True)
    measuring.classes = None
    with pytest.raises(DataError, match="targets of random are numbers"):
        StepCost()(measuring)
