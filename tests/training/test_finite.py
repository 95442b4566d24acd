from __future__ import annotations

import math
import pickle

import pytest
import torch

from bench.training.finite import NotANumber, TermWatch


def _feed(every: int, rows: list[list[float]]) -> TermWatch:
    watch = TermWatch(["cross-entropy", "bss"], every)
    for step, row in enumerate(rows, start=1):
        watch.add(torch.tensor(row), step)
    watch.check()
    return watch


@pytest.mark.parametrize("every", [1, 3, 10])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_the_first_bad_term_is_named_with_its_step(every: int, bad: float) -> None:
    rows = [[1.0, 2.0], [1.0, 2.0], [1.0, bad], [bad, bad]]
    with pytest.raises(NotANumber) as caught:
        _feed(every, rows)
    assert (caught.value.term, caught.value.step) == ("bss", 3)


def test_of_two_bad_terms_in_one_step_the_cross_entropy_comes_first() -> None:
    with pytest.raises(NotANumber, match="cross-entropy became nan at step 1"):
        _feed(1, [[math.nan, math.inf]])


@pytest.mark.parametrize("every", [1, 2, 10])
def test_means_are_those_since_the_last_call(every: int) -> None:
    watch = _feed(every, [[1.0, 10.0], [2.0, 20.0], [6.0, 0.0]])
    assert watch.means() == {"cross-entropy": 3.0, "bss": 10.0}
    watch.add(torch.tensor([8.0, 4.0]), 4)
    assert watch.means() == {"cross-entropy": 8.0, "bss": 4.0}


def test_the_error_crosses_process_borders() -> None:
    error = pickle.loads(pickle.dumps(NotANumber("l2", 7, math.inf)))
    assert (error.term, error.step, str(error)) == ("l2", 7, "l2 became inf at step 7")
