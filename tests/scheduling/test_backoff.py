"""A dataset that could not be fetched is tried again by one cell, later each time, not for ever."""

from __future__ import annotations

from bench.scheduling.backoff import Backoff, fetched_by
from tests.records.built import cell
from tests.scheduling.test_tenancy import Clock

DATA = ("birds",)


def test_what_a_cell_fetches() -> None:
    assert fetched_by(cell(dataset="birds")) == DATA


def test_others_of_a_dataset_wait_while_one_tries() -> None:
    clock = Clock()
    backoff = Backoff((30, 120), clock)
    assert not backoff.waits(DATA)
    assert backoff.failed("a", DATA, "cut off") == 30
    # Those that were running when it failed count no further.
    assert backoff.failed("b", DATA, "cut off") == 30
    assert backoff.waits(("dogs", *DATA))
    assert not backoff.waits(("dogs",))
    clock.now += 30
    assert not backoff.waits(DATA)
    backoff.begun("b", DATA)
    assert backoff.waits(DATA)
    assert backoff.failed("b", DATA, "cut off") == 120
    clock.now += 120
    backoff.begun("b", DATA)
    backoff.ended("c", DATA)
    assert backoff.waits(DATA)
    backoff.ended("b", DATA)
    assert not backoff.waits(DATA)
    # The next fault begins anew.
    assert backoff.failed("d", DATA, "cut off") == 30


def test_a_dataset_is_given_up_once_for_all() -> None:
    clock = Clock()
    backoff = Backoff((30, 120), clock)
    for delay in (30, 120):
        backoff.begun("a", DATA)
        assert backoff.failed("a", DATA, "cut off") == delay
        clock.now += delay
    assert backoff.lost(DATA) is None
    backoff.begun("a", DATA)
    assert backoff.failed("a", DATA, "cut off") is None
    assert backoff.lost(("dogs", *DATA)) == "cut off"
    assert backoff.lost(("dogs",)) is None


def test_one_that_was_not_started_after_all_lets_another_try() -> None:
    clock = Clock()
    backoff = Backoff((30,), clock)
    backoff.failed("a", DATA, "cut off")
    clock.now += 30
    backoff.begun("a", DATA)
    backoff.undone("a", DATA)
    assert not backoff.waits(DATA)
    backoff.begun("b", DATA)
    assert backoff.failed("b", DATA, "cut off") is None
