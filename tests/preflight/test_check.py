"""The check before the first cell: each backbone once, and every problem in one answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.preflight import check
from bench.preflight.check import PARAMETERS, Run, available_memory, problems
from bench.records.record import Failure, Outcome
from bench.scheduling.device import Device
from bench.scheduling.engines.engine import Ended, NoRoom
from bench.scheduling.job import Job
from bench.spec.cell import Resources
from bench.spec.plan import load_plan

SUITE = """
title: Several backbones
stages:
  source: {weights: random, dataset: glyphs, method: a}
axes:
  backbone: [test_resnet, test_vit]
  weights: [random, "stage:source"]
  dataset: [glyphs, mine]
  sampling_rate: 1.0
  method: [a, b]
  seed: 3
datasets:
  mine: {folder: gone}
recipe: {steps: 8}
methods:
  a: {penalties: {l2: {weight: 1e-1}}}
  b: {penalties: {l2: {weight: 1e-2}}}
profiles: {offline: {}}
"""


class Scripted:
    """An engine that answers as it is told, one job at a time."""

    def __init__(self, answer: Callable[[Job], Outcome], room: int = 99) -> None:
        self.devices = (Device("cpu", "", 2),)
        self.answer, self.room = answer, room
        self.asked: list[Job] = []
        self.closed = False

    def start(self, job: Job, device: Device) -> None:
        if not self.room:
            raise NoRoom("no process")
        assert job.folder.is_dir()
        self.asked.append(job)
        self.ended = [*getattr(self, "ended", []), Ended(job, self.answer(job), 0.0)]

    def poll(self, timeout: float) -> list[Ended]:
        return [self.ended.pop()]

    def close(self) -> None:
        self.closed = True


def fits(job: Job) -> Outcome:
    return Outcome("done", metrics={PARAMETERS: 1e6})


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("RETABLE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "paper.yaml").write_text("id: p\ntitle: P\n")
    (tmp_path / "table.yaml").write_text(SUITE)
    plan = load_plan(tmp_path / "table.yaml")
    cells = [c for c in plan.unique().values() if c.dataset == "glyphs"]
    return Run([(cells, plan.resources)], frozenset(), tmp_path / "store", [Device("cpu", "", 2)])


def test_each_backbone_is_looked_at_once_with_its_weights_and_size(run):
    engine = Scripted(fits)
    assert problems(run, lambda: engine) == []
    assert engine.closed
    looked = sorted((job.cell.backbone, *job.cell.weights) for job in engine.asked)
    assert looked == [
        ("test_resnet", "random"), ("test_resnet", "stage"),
        ("test_vit", "random"), ("test_vit", "stage"),
    ]  # fmt: skip


def test_all_that_is_wrong_is_told_at_once(run, tmp_path, monkeypatch):
    plan = load_plan(tmp_path / "table.yaml")
    every = Run(
        [(list(plan.unique().values()), plan.resources)], run.leaving, run.store, run.devices
    )
    monkeypatch.setattr(check.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))

    def answer(job: Job) -> Outcome:
        if job.cell.backbone == "test_vit":
            return Outcome("failed", failure=Failure("user-error", "takes no images of 224 pixels"))
        return fits(job)

    told = problems(every, lambda: Scripted(answer))
    assert len(told) == 3
    assert str(tmp_path / "gone") in told[0]
    assert told[1] == "test_vit: takes no images of 224 pixels"
    assert "0.0 GB are free" in told[2]


def test_checkpoints_must_fit_on_the_disk(run, monkeypatch):
    ((cells, _),) = run.suites
    leaving = frozenset(cell.id for cell in cells)
    free = 4 * 1e6 * len(cells) + 50 * 2**20
    for room, expected in ((free, 0), (free - 1, 1)):
        monkeypatch.setattr(
            check.shutil, "disk_usage", lambda path, r=room: SimpleNamespace(free=r)
        )
        keeping = Run(run.suites, leaving, run.store, run.devices)
        assert len(problems(keeping, lambda: Scripted(fits))) == expected
        assert problems(run, lambda: Scripted(fits)) == []


def test_networks_must_fit_into_memory_as_often_as_there_are_workers(run, monkeypatch):
    needed = 4 * 4 * 1e6 * 2
    for free, expected in ((needed, 0), (needed - 1, 1)):
        monkeypatch.setattr(check, "available_memory", lambda f=free: f)
        told = problems(run, lambda: Scripted(fits))
        assert len(told) == expected
    assert "take fewer --workers" in told[0]
    on_gpu = Run(run.suites, run.leaving, run.store, [Device("cuda:0", "0", 2)])
    assert problems(on_gpu, lambda: Scripted(fits)) == []


def test_memory_that_the_system_tells(run):
    free = available_memory()
    assert free is None or free > 1e6


def test_where_there_is_no_room_for_a_process_the_run_says_so_itself(run):
    assert problems(run, lambda: Scripted(fits, room=0)) == []


def test_without_an_engine_data_are_looked_at_alone(run):
    resources = Resources(folders={"glyphs": "gone"})
    (told,) = problems(Run([(run.suites[0][0], resources)], frozenset(), run.store, []), None)
    assert "gone" in told
