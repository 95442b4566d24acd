"""What is tried again: what may have come from outside, as often as asked, out-of-memory once."""

from __future__ import annotations

import pytest

from bench.records.record import Failure, FailureKind
from bench.scheduling.retries import needs_device_alone, verdict


@pytest.mark.parametrize(
    ("kinds", "retries", "expected"),
    [
        (["error"], 1, "again"),
        (["signal"], 1, "again"),
        (["exit"], 1, "again"),
        (["error", "error"], 1, "over"),
        (["error", "signal"], 2, "again"),
        (["error", "signal", "exit"], 2, "over"),
        (["user-error"], 5, "over"),
        (["not-a-number"], 5, "over"),
        (["time-limit"], 5, "over"),
        (["parent"], 5, "over"),
        (["out-of-memory"], 1, "alone"),
        (["out-of-memory", "out-of-memory"], 5, "over"),
        (["error", "out-of-memory"], 1, "alone"),
        (["out-of-memory", "error"], 1, "again"),
        (["error"], 0, "over"),
        (["out-of-memory"], 0, "over"),
        ([], 1, "over"),
        (["network"], 1, "later"),
        (["network"] * 3, 1, "later"),
        (["network"] * 4, 1, "over"),
        (["network"], 0, "over"),
        (["network", "network", "error"], 1, "again"),
        (["error", "network"], 1, "later"),
        (["network", "out-of-memory"], 1, "alone"),
    ],
)
def test_the_rule(kinds: list[FailureKind], retries: int, expected: str) -> None:
    assert verdict([Failure(kind, "") for kind in kinds], retries) == expected


def test_a_cell_that_ran_out_of_memory_once_stays_alone() -> None:
    memory, network = Failure("out-of-memory", ""), Failure("network", "")
    assert needs_device_alone([memory])
    assert needs_device_alone([memory, network])
    assert not needs_device_alone([network])
