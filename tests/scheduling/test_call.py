"""Whatever a cell's code does becomes an outcome that says what kind of failure it was."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.errors import UserError
from bench.records.code import code_digests, units_of
from bench.records.record import Outcome, Provenance
from bench.scheduling.device import Device
from bench.scheduling.engines.call import call, kind_of
from bench.scheduling.engines.inline import InlineEngine
from bench.scheduling.job import Job
from bench.spec.cell import Resources
from tests.records.built import cell
from tests.scheduling import fake_cells


def job(folder: Path, **penalties: dict[str, object]) -> Job:
    return Job(cell(penalties=penalties), attempt=1, folder=folder / "cells" / "ab" / "abc")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("act", "kind", "message"),
    [
        ("raise", "error", "RuntimeError: the third layer went wrong"),
        ("oom", "out-of-memory", "OutOfMemoryError: CUDA out of memory"),
        ("nan", "not-a-number", "Diverged: the loss is NaN at step 3"),
        ("user", "user-error", "photos: the folder is empty\n  put images there"),
    ],
)
def test_an_exception_is_told_by_kind(tmp_path: Path, act: str, kind: str, message: str) -> None:
    outcome = call(fake_cells.TARGET, job(tmp_path, **{act: {}}))
    assert outcome.status == "failed"
    assert outcome.failure is not None
    assert outcome.failure.kind == kind
    assert outcome.failure.message.startswith(message)
    # A user's error has said all; the others come with their traceback.
    assert ("Traceback" in outcome.failure.detail) == (kind != "user-error")


def test_texts_of_memory_errors_are_known() -> None:
    cuda = RuntimeError("CUDA error: out of memory")
    cpu = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 800 bytes")
    assert kind_of(cuda) == kind_of(cpu) == kind_of(MemoryError()) == "out-of-memory"
    assert kind_of(ValueError("out of memory is what this text says")) == "error"


def test_an_exit_is_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(fake_cells.ACTS, "look", lambda job: exit(3))
    outcome = call(fake_cells.TARGET, job(tmp_path, look={}))
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.message) == ("exit", "the code called exit(3)")


@pytest.mark.parametrize(
    "target", ["no.such.module:f", "bench.errors:no_such_function", "json:dumps"]
)
def test_a_target_that_is_none_is_a_failure(tmp_path: Path, target: str) -> None:
    outcome = call(target, job(tmp_path))
    assert outcome.failure is not None
    assert outcome.failure.kind == "error"


def test_other_code_than_the_runner_expects_is_not_executed(tmp_path: Path) -> None:
    given = Job(cell(), attempt=1, folder=tmp_path / "cells" / "ab" / "abc")
    code = code_digests(units_of(given.cell, Resources()))
    target = f"{fake_cells.__name__}:noop"
    assert call(target, replace(given, code=code)).status == "done"
    outcome = call(target, replace(given, code={**code, "train": "0" * 64}))
    assert outcome.failure is not None
    assert outcome.failure.kind == "user-error"
    assert outcome.failure.message.startswith("the code of train was edited since this run began")


PLUGIN = """
from bench.parts import Penalty, penalty

@penalty("mine")
class Mine(Penalty):
    weight: float = 1.0
"""


def test_a_part_that_imports_what_no_digest_counts_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN)
    far = tmp_path / "far"
    far.mkdir()
    stray = "stray_of_test_call"
    (far / f"{stray}.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(far)

    def target(job: Job) -> Outcome:
        importlib.import_module(stray)
        code = code_digests(units_of(job.cell, job.resources))
        return Outcome("done", provenance=Provenance(code=code))

    monkeypatch.setattr(fake_cells, "imports", target, raising=False)
    resources = Resources(plugins=(str(tmp_path / "mine.py"),))
    ours, mine = (
        Job(cell(penalties={n: {}}), 1, tmp_path, resources=resources) for n in ("l2", "mine")
    )
    # Without a part of the user's it is nobody's import.
    assert call(f"{fake_cells.__name__}:imports", ours).status == "done"
    # In one process the second attempt finds it imported.
    for _ in range(2):
        outcome = call(f"{fake_cells.__name__}:imports", mine)
        assert outcome.failure is not None
        assert f"imports {stray}, which lies at {far}" in outcome.failure.message
    del sys.modules[stray]
    assert call(f"{fake_cells.__name__}:noop", mine).status == "done"


def test_the_inline_engine_executes_in_this_process(tmp_path: Path) -> None:
    engine = InlineEngine(target=f"{fake_cells.__name__}:noop")
    (device,) = engine.devices
    assert device == Device("cpu", "", 1)
    given = job(tmp_path)
    engine.start(given, device)
    (ended,) = engine.poll(0)
    assert ended.outcome == Outcome("done")
    assert ended.job == given
    assert engine.poll(0) == []


def test_an_exception_says_its_kind_and_only_a_known_one_counts() -> None:
    class Odd(ValueError):
        kind = "of my own"

    class Mine(UserError):
        """Says nothing new."""

    class Stops(UserError):
        kind = "not-a-number"

    assert kind_of(Odd()) == "error"
    assert kind_of(Mine("x")) == "user-error"
    assert kind_of(Stops("x")) == "not-a-number"
    # The spelling of a class says nothing.
    assert kind_of(type("NotANumberAtAll", (ValueError,), {})()) == "error"
