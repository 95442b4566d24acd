"""Whose neighbours a cell had, and shares of a device's time that add up to it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.scheduling.tenancy import Stay, Tenancy


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_time_is_shared_by_those_that_are_there() -> None:
    clock = Clock()
    tenancy = Tenancy(clock)
    tenancy.begin("a", "cuda:0")
    tenancy.begin("x", "cuda:1")
    clock.now += 10
    tenancy.begin("b", "cuda:0")
    clock.now += 6
    assert tenancy.end("a") == Stay(("b",), 13.0)
    clock.now += 4
    assert tenancy.end("b") == Stay(("a",), 7.0)
    assert tenancy.end("x") == Stay((), 20.0)
    # A time in which nobody was there is nobody's.
    clock.now += 50
    tenancy.begin("c", "cuda:0")
    clock.now += 1
    assert tenancy.end("c") == Stay((), 1.0)


def test_one_that_did_not_begin_was_nobodys_neighbour() -> None:
    tenancy = Tenancy(Clock())
    tenancy.begin("a", "cuda:0")
    tenancy.begin("b", "cuda:0")
    tenancy.undo("b")
    assert tenancy.end("a") == Stay((), 0.0)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), max_size=30))
def test_shares_add_up_to_the_time_in_which_one_ran(steps: list[tuple[int, int]]) -> None:
    clock = Clock()
    tenancy = Tenancy(clock)
    there: set[int] = set()
    shares = busy = 0.0
    for number, seconds in [*steps, *((n, 1) for n in range(6))]:
        if number in there:
            shares += tenancy.end(str(number)).seconds
            there.remove(number)
        elif steps:
            tenancy.begin(str(number), "cuda:0")
            there.add(number)
        busy += seconds if there else 0
        clock.now += seconds
    for number in there:
        shares += tenancy.end(str(number)).seconds
    assert shares == pytest.approx(busy)


def test_who_was_beside_one_before_stays_so_though_it_is_not_begun_again() -> None:
    tenancy = Tenancy(Clock())
    tenancy.begin("long", "cuda:0")
    tenancy.begin("short", "cuda:0")
    tenancy.end("short")
    tenancy.begin("short", "cuda:0")
    tenancy.begin("other", "cuda:0")
    tenancy.undo("short")
    assert tenancy.end("long").beside == ("other", "short")
    assert tenancy.end("other").beside == ("long",)
