"""Which device is benched, when a run stops, and where a cell is tried again."""

from __future__ import annotations

import pytest

from bench.records.record import Failure, FailureKind
from bench.scheduling.health import Health

BAD = Failure("error", "CUDA error: uncorrectable ECC error\nmore of it")


def health(devices: int = 3, like_failures: int = 10) -> Health:
    return Health(tuple("abc"[:devices]), like_failures)


def fails(
    of: Health,
    cell: str,
    device: str = "a",
    *,
    seconds: float = 3.0,
    usual: float | None = None,
    failure: Failure = BAD,
) -> bool:
    return of.failed(cell, device, failure, seconds, usual)


def test_two_quick_failures_of_different_cells_bench_a_device() -> None:
    one = health()
    assert not fails(one, "1")
    assert not fails(one, "1")
    assert fails(one, "2")
    assert one.benched == {"a": "CUDA error: uncorrectable ECC error"}
    # What still ran there ends; it is said once.
    assert not fails(one, "3")


def test_a_success_in_between_clears_a_device() -> None:
    one = health()
    fails(one, "1")
    one.succeeded("b")
    one.succeeded("a")
    assert not fails(one, "2")
    assert fails(one, "3")


@pytest.mark.parametrize(
    ("seconds", "usual", "quick"),
    [(59.9, None, True), (60.0, None, False), (60.0, 300.0, False), (79.9, 400.0, True),
     (80.0, 400.0, False), (59.0, 60.0, True)],
)  # fmt: skip
def test_quick_is_below_a_minute_or_a_fifth(
    seconds: float, usual: float | None, quick: bool
) -> None:
    one = health()
    fails(one, "1", seconds=seconds, usual=usual)
    assert fails(one, "2", seconds=seconds, usual=usual) == quick


def test_the_last_device_is_never_benched() -> None:
    one = health(2)
    fails(one, "1"), fails(one, "2")
    assert set(one.benched) == {"a"}
    fails(one, "3", "b"), fails(one, "4", "b")
    assert set(one.benched) == {"a"}
    alone = health(1)
    fails(alone, "1"), fails(alone, "2")
    assert not alone.benched


@pytest.mark.parametrize(
    "kind", ["user-error", "not-a-number", "time-limit", "out-of-memory", "network"]
)
def test_a_cells_own_failures_bench_nothing(kind: FailureKind) -> None:
    one = health()
    assert not any(fails(one, str(n), failure=Failure(kind, "so it is")) for n in range(5))


def test_a_cell_that_fails_anywhere_is_no_devices_fault() -> None:
    one = health()
    fails(one, "1", "a")
    fails(one, "1", "b")
    assert not fails(one, "2", "a")
    assert not fails(one, "3", "b")
    assert fails(one, "4", "b")


def test_a_cell_is_tried_elsewhere_if_there_is_an_elsewhere() -> None:
    one = health(2)
    assert one.avoided("1") == frozenset()
    fails(one, "1", "a")
    assert one.avoided("1") == {"a"}
    fails(one, "1", "b")
    assert one.avoided("1") == frozenset()
    two = health(2)
    fails(two, "1", "b"), fails(two, "2", "a"), fails(two, "3", "a")
    assert set(two.benched) == {"a"}
    # The other one is benched: better there again than nowhere.
    assert two.avoided("1") == frozenset()


def test_so_many_like_failures_without_a_success_stop_the_run() -> None:
    one = health(like_failures=3)
    for cell in ("1", "1", "2"):
        fails(one, cell)
    fails(one, "3", failure=Failure("error", "another"))
    fails(one, "4", failure=Failure("signal", BAD.message))
    assert not one.stopped
    fails(one, "5", "b", seconds=9e9)
    assert "3 cells failed alike" in one.stopped
    assert "uncorrectable ECC" in one.stopped


def test_a_success_anywhere_begins_the_count_anew() -> None:
    one = health(like_failures=2)
    fails(one, "1")
    one.succeeded("c")
    fails(one, "2")
    assert not one.stopped


@pytest.mark.parametrize("kind", ["user-error", "not-a-number", "time-limit", "network"])
def test_what_is_the_cells_result_stops_nothing(kind: FailureKind) -> None:
    one = health(like_failures=2)
    for cell in "1234":
        fails(one, cell, failure=Failure(kind, "so it is"))
    assert not one.stopped
