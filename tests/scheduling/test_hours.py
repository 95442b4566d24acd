"""Hours that were spent, by sums done by hand; hours to come, from records of like cells alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.records.record import Failure, Outcome, Record, Usage
from bench.records.store import MISSING, CellState
from bench.report.provenance import device_hours
from bench.scheduling.hours import Prediction, Spent, predicted, spent
from bench.spec.cell import PlannedCell
from tests.records.built import cell, planned, record


def took(
    of: PlannedCell, seconds: float, device: str = "cpu", share: float | None = None
) -> Record:
    made = record(of.cell, machine={"device": device})
    used = Usage(device, seconds=share) if share is not None else None
    return replace(made, seconds=seconds, usage=used)


def states(*done: Record, state: str = "done") -> dict[str, CellState]:
    return {each.id: CellState(state, each, attempts=1) for each in done}  # type: ignore[arg-type]


def test_all_attempts_count_however_they_ended() -> None:
    one = planned(cell())
    cut = replace(took(one, 1800.0), outcome=Outcome("cancelled"))
    failed = replace(record(one.cell, status="failed"), seconds=600.0)
    shared = took(one, 3600.0, "NVIDIA H200", 1200.0)
    never = replace(failed, outcome=Outcome("failed", failure=Failure("parent", "its parent")))
    found = spent([cut, failed, shared, never])
    assert found == Spent(1.0, 3, 2)
    assert found.line == "spent: 1.0 device-hours in 3 attempts, 2 of them not done"
    assert spent([]).line == ""


def test_what_is_left_is_predicted_from_like_cells_alone() -> None:
    done = [planned(cell(seed)) for seed in range(2)]
    like = [planned(cell(seed)) for seed in (2, 3, 4)]
    other = planned(cell(dataset="digits"))
    made = [took(one, s, "NVIDIA H200") for one, s in zip(done, (3600, 7200), strict=True)]
    known = states(*made) | {each.cell.id: MISSING for each in [*like, other]}
    found = predicted([*done, *like, other, like[0]], known)
    assert found == Prediction(4.5, 3, 1, 2, ("NVIDIA H200",))
    assert found.line == (
        "predicted: 4.5 device-hours for 3 of 4 cells left, "
        "from 2 records of like cells on NVIDIA H200; unknown for 1"
    )


def test_where_no_record_is_like_it_it_is_unknown() -> None:
    one, other = planned(cell()), planned(cell(dataset="digits"))
    found = predicted([one, other], {other.cell.id: MISSING} | states(took(one, 5.0)))
    assert found.line == "predicted: unknown for 1 cell left: no record is of cells like them"
    failed = record(one.cell, status="failed")
    assert predicted([one], states(failed, state="failed")).unknown == 1


def test_a_stale_record_tells_of_time_and_its_cell_is_left() -> None:
    one = planned(cell())
    found = predicted([one], states(took(one, 360.0), state="stale"))
    assert (found.hours, found.cells) == (pytest.approx(0.1), 1)
    assert predicted([one], states(took(one, 360.0))).line == ""


def test_a_page_tells_of_devices_where_its_records_do() -> None:
    one, other = planned(cell()), planned(cell(1))
    assert device_hours([took(one, 3600.0)]) == ""
    shared = took(one, 7200.0, "NVIDIA H200", 3600.0)
    more = took(other, 1800.0, "NVIDIA H200", 1800.0)
    assert device_hours([shared, more]) == "1.5 device-hours on NVIDIA H200; 2 attempts."
    assert "1 record beside these" in device_hours([shared, took(other, 1.0)])


def gone_on(made: Record, earlier: float) -> Record:
    timings = {"earlier_s": earlier}
    return replace(
        made, seconds=made.seconds + earlier, outcome=replace(made.outcome, timings=timings)
    )


def test_time_that_was_gone_on_from_is_spent_once() -> None:
    one = planned(cell())
    cut = replace(took(one, 1800.0), outcome=Outcome("cancelled"))
    # 600 s of the first were after its last save, and are lost.
    rest = gone_on(took(one, 2400.0), 1200.0)
    assert rest.seconds == 3600
    assert spent([cut, rest]).hours == pytest.approx((1800 + 2400) / 3600)
    # Of an attempt that was killed there is no record but that which went on from it.
    assert spent([rest]).hours == pytest.approx(1.0)
    shared = gone_on(took(one, 2400.0, "NVIDIA H200", 1200.0), 1200.0)
    assert spent([shared]).hours == pytest.approx((1200 + 600) / 3600)
    assert spent([cut, rest, rest]).hours == pytest.approx((1800 + 2400 + 3600) / 3600)


def test_a_cell_is_predicted_to_take_what_a_like_one_took_with_what_it_went_on_from() -> None:
    one, like = planned(cell()), planned(cell(1))
    for made in (
        gone_on(took(one, 1800.0), 5400.0),
        gone_on(took(one, 1800.0, "NVIDIA H200", 1800.0), 5400.0),
    ):
        found = predicted([one, like], states(made) | {like.cell.id: MISSING})
        assert found.hours == pytest.approx(2.0)


def test_a_page_says_that_device_hours_are_without_those_gone_on_from() -> None:
    made = gone_on(took(planned(cell()), 1800.0, "NVIDIA H200", 1800.0), 5400.0)
    assert device_hours([made]) == (
        "0.5 device-hours on NVIDIA H200; 1 attempt, "
        "without the time before 1 attempt went on from a saved state."
    )
