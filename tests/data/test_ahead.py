"""Batches ahead of a GPU are those of their steps, and are waited for; streams are stood in for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from bench.data.ahead import Ahead, ahead

GPU = torch.device("cuda", 0)


class Numbered:
    """Batches that tell their step, and note who made them when."""

    def __init__(self, told: list[str], on: list[str]) -> None:
        self.told = told
        self.on = on

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        self.told.append(f"make {step} on {self.on[-1]}")
        return torch.full((2, 3), float(step)), torch.full((2,), step)


class Stream:
    """A stream by its name, which notes what it waits for."""

    def __init__(self, told: list[str], name: str) -> None:
        self.told = told
        self.name = name

    def wait_stream(self, other: Stream) -> None:
        self.told.append(f"{self.name} waits for {other.name}")


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], list[str]]:
    """What happened, and the stream that is current, where there is no GPU."""
    told: list[str] = []
    on = ["main"]

    @contextmanager
    def within(stream: Stream) -> Iterator[None]:
        on.append(stream.name)
        yield
        on.pop()

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream(told, "side"))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream(told, on[-1]))
    monkeypatch.setattr(torch.cuda, "stream", within)
    monkeypatch.setattr(
        Tensor, "record_stream", lambda tensor, stream: told.append(f"kept for {stream.name}")
    )
    return told, on


def test_a_batch_is_waited_for_and_the_next_is_begun_before_it_is_used(streams) -> None:
    told, on = streams
    batches = Ahead(Numbered(told, on), GPU)
    assert float(batches.batch(0)[0][0, 0]) == 0
    begun = ["side waits for main", "make 0 on side"]
    used = ["main waits for side", "kept for main", "kept for main"]
    assert told == [*begun, *used, "side waits for main", "make 1 on side"]
    told.clear()
    batches.batch(1)
    # It was made already: nothing but the wait stands before its use.
    assert told == [*used, "side waits for main", "make 2 on side"]


@pytest.mark.parametrize("steps", [[0, 1, 2, 3], [5, 6, 7], [3, 3, 4], [2, 0, 1, 9]])
def test_each_step_has_its_own_batch_in_whatever_order(streams, steps) -> None:
    batches = Ahead(Numbered(*streams), GPU)
    for step in steps:
        inputs, targets = batches.batch(step)
        assert torch.equal(inputs, torch.full((2, 3), float(step)))
        assert torch.equal(targets, torch.full((2,), step))


def test_on_a_cpu_nothing_is_made_ahead() -> None:
    told: list[str] = []
    plain = Numbered(told, ["main"])
    assert ahead(plain, torch.device("cpu")) is plain
