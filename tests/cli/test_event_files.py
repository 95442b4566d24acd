"""``bench run --tensorboard``: what TensorBoard reads is what the records say."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from bench.errors import UserError
from bench.records.record import Curve, Outcome
from bench.report.event_files import EventFiles, run_name
from bench.spec.cell import PlannedCell
from tests.records.built import cell, record

pytest.importorskip("tensorboard", reason="tensorboard is not installed")
Bench = Callable[..., Result]
Points = list[tuple[int, float]]
CURVE = Curve((0, 4, 8), (0.25, float("nan"), 0.75))
PLANNED = PlannedCell(cell(), {"dataset": "glyphs", "method": "l2+bss"}, 0)


def read(folder: Path) -> dict[str, Points]:
    """Return curve to its points, as TensorBoard's own reader has them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return {
        name: [(e.step, e.value) for e in events.Scalars(name)] for name in events.Tags()["scalars"]
    }


def recorded(store: Path, prefix: str) -> dict[str, Points]:
    (file,) = store.glob(f"cells/*/{prefix}*/0001.json")
    curves = json.loads(file.read_text())["record"]["outcome"]["curves"]
    return {name: list(zip(c["at"], c["value"], strict=True)) for name, c in curves.items()}


def made(**curves: Curve):
    return replace(record(PLANNED.cell), outcome=Outcome("done", curves=curves))


def test_every_done_cell_is_read_back_as_it_was_recorded(laid: Path, bench: Bench) -> None:
    result = bench("run", "laid/table", "--tensorboard", "events")
    assert result.exit_code == 0, result.output
    runs = sorted((laid / "events" / "laid" / "table.offline").iterdir())
    # Two datasets, two methods, three seeds, and the stage that they start from.
    assert len(runs) == 13
    assert sum("seed2" in run.name and "digits" in run.name for run in runs) == 2
    for run in runs:
        points = read(run)
        assert points
        wanted = recorded(laid / "store", run.name.rpartition("_")[2])
        assert points.keys() == wanted.keys()
        for name, curve in wanted.items():
            assert points[name] == [(at, pytest.approx(value)) for at, value in curve]


@pytest.mark.parametrize("another", [{"attempt": 2}, {"ended": "2026-02-01T00:00:00+00:00"}])
def test_writing_again_changes_nothing_and_another_record_replaces(
    tmp_path: Path, another: dict[str, Any]
) -> None:
    files = EventFiles(tmp_path)
    first = made(**{"train/loss": CURVE})
    file = files.write("s", PLANNED, first)
    assert file is not None
    before = file.stat().st_mtime_ns
    assert files.write("s", PLANNED, first) == file
    assert file.stat().st_mtime_ns == before
    # Of a store that was begun anew, the first attempt is another one too.
    second = replace(first, outcome=Outcome("done", curves={"other": CURVE}), **another)
    later = files.write("s", PLANNED, second)
    assert list(file.parent.iterdir()) == [later]
    assert list(read(file.parent)) == ["other"]


def test_a_curve_over_anything_but_steps_is_left_out(tmp_path: Path) -> None:
    files = EventFiles(tmp_path)
    odd = {"tasks": Curve((0, 1), (1.0, 2.0), "task"), "parts": Curve((0.5, 1), (1.0, 2.0))}
    assert files.write("s", PLANNED, made(**odd)) is None
    file = files.write("s", PLANNED, made(loss=CURVE, **odd))
    assert file is not None
    assert list(read(file.parent)) == ["loss"]
    (_, first), (step, gap), (_, last) = read(file.parent)["loss"]
    assert (first, step, last) == (0.25, 4, 0.75)
    assert gap != gap


def test_a_run_is_named_by_its_labels_and_id() -> None:
    own = PLANNED.cell.id[:8]
    assert run_name(PLANNED) == f"glyphs_l2+bss_seed0_{own}"
    stage = PlannedCell(cell(), {}, name="stage source")
    assert run_name(stage) == f"stage-source_{own}"
    stray = PlannedCell(cell(), {"method": "../../a b/\x1bc"}, 0)
    assert run_name(stray) == f"a-b-c_seed0_{own}"


def test_without_the_package_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(UserError, match=r"pip install 'retable\[tensorboard\]'"):
        EventFiles(Path("events"))


def test_a_folder_that_cannot_be_written_is_said_before_anything_runs(
    laid: Path, bench: Bench
) -> None:
    (laid / "events").mkdir()
    (laid / "events" / "laid").write_text("a file")
    result = bench("run", "laid/table", "--tensorboard", "events")
    assert isinstance(result.exception, UserError)
    assert "TensorBoard's files cannot be written" in str(result.exception)
