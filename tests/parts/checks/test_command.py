"""``bench test-method`` takes a file, a name, or a kind and a name."""

from __future__ import annotations

import json
import os
import traceback
import warnings
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from bench.cli import checking
from bench.cli.main import group
from bench.cli.test_method import _parts
from bench.errors import SpecError
from bench.parts.checks import worker

FILE = """
import numpy as np
from bench.parts import Head, Penalty, head, penalty

@head("flat")
class Flat(Head):
    def weights(self, outputs, features, stream):
        return np.full((outputs, features), {value})

@penalty("flat")
class Small(Penalty):
    def __call__(self, step):
        return step.logits.square().mean()
"""


@pytest.fixture
def command():
    return lambda *given: CliRunner().invoke(group, ["test-method", *given])


class Forked:
    """The process that checks run in, forked from this one, which has torch imported already."""

    def __init__(self, command: Sequence[str], **_: Any) -> None:
        *_, descriptor, job = command
        with warnings.catch_warnings():
            # Threads of other libraries are there, and wait.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if not self.pid:
            try:
                os.setsid()
                torch.set_num_threads(1)
                worker.main(int(descriptor), json.loads(job))
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        self._code: int | None = None

    def wait(self) -> int:
        if self._code is None:
            self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._code


@pytest.fixture
def forked(monkeypatch):
    monkeypatch.setattr(checking.subprocess, "Popen", Forked)


def test_every_part_of_a_file_is_checked(command, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(FILE.format(value=0.01))
    result = command(str(path))
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert [line for line in lines if not line.startswith("  ")] == [
        "head flat",
        "penalty flat",
        "all checks passed",
    ]
    assert "  ok     stream: the same for every stream" in lines


def test_a_failed_check_is_counted_and_the_exit_code_is_1(command, forked, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(FILE.format(value="1, dtype='float32'"))
    result = command(str(path))
    assert result.exit_code == 1
    assert "  FAILED shape: gives float32, not float64" in result.output
    assert result.output.endswith("1 check failed\n")


@pytest.mark.parametrize("given", ["zeros", "head:zeros"])
def test_a_built_in_is_asked_for_by_name(given):
    assert _parts(given) == ([("head", "zeros")], ())


ENDS = """
import os
from bench.parts import Penalty, penalty

@penalty("leaves")
class Leaves(Penalty):
    def __call__(self, step):
        raise SystemExit(0)

@penalty("hangs")
class Hangs(Penalty):
    def __call__(self, step):
        while True:
            pass

@penalty("dies")
class Dies(Penalty):
    def __call__(self, step):
        os._exit(0)

@penalty("good")
class Good(Penalty):
    def __call__(self, step):
        return step.logits.square().mean()
"""


def test_a_part_that_ends_or_holds_its_process_fails_and_the_next_is_checked(
    command, forked, tmp_path
):
    path = tmp_path / "mine.py"
    path.write_text(ENDS)
    result = command(str(path), "--time-limit", "5")
    assert result.exit_code == 1
    leaves, hangs, dies, good = result.output.split("penalty ")[1:]
    # One fault is one message, at its line in the user's file.
    assert leaves.count("calls exit(0), line 8 of mine.py") == 1
    assert "FAILED pairing: calls exit(0)" in leaves
    assert "FAILED gradient: as pairing" in leaves
    assert "FAILED process: pairing has not ended after 5 s" in hangs
    assert "FAILED process: the process ended within pairing (exit code 0)" in dies
    assert "FAILED" not in good
    assert result.output.endswith("3 checks failed\n")


def test_a_fault_of_the_file_is_one_message_with_its_line(command, forked, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(FILE.format(value=1) + "\n1 / 0\n")
    result = command(str(path))
    assert result.exit_code == 1
    failed = [line for line in result.output.splitlines() if "FAILED" in line]
    line = len(path.read_text().splitlines())
    wanted = f"  FAILED import: ZeroDivisionError: division by zero, line {line} of mine.py"
    assert failed == [wanted] * 2


def test_a_name_of_several_kinds_needs_its_kind(command, monkeypatch):
    from bench.spec import parts

    known = dict(parts.built_in_parts())
    known["trainable", "zeros"] = known["trainable", "head"]
    monkeypatch.setattr(parts, "built_in_parts", lambda: known)
    result = command("zeros")
    assert isinstance(result.exception, SpecError)
    assert "several kinds have a part 'zeros'" in str(result.exception)
    assert "trainable:zeros" in str(result.exception)
    assert "head:zeros" in str(result.exception)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("zeross", "neither a Python file nor a built-in part\n  did you mean 'zeros'"),
        ("heads:zeros", "there is no kind of parts 'heads'\n  did you mean 'head'"),
        ("patch:zeros", "there is no patch 'zeros'"),
        ("nothing.py", "cannot be read"),
    ],
)
def test_what_there_is_not_is_an_error_with_the_nearest(command, given, message):
    error = command(given).exception
    assert isinstance(error, SpecError)
    assert message in str(error)
