"""The look at the GPU before a run: told once, with what to install."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.doctor.finding import Finding
from bench.preflight import check, gpu
from bench.preflight.check import Run, problems
from bench.scheduling.device import Device

HERE = Device("cuda:0", "0", 1, here=True)
ELSEWHERE = Device("far:0", "0", 1)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch):
    """Answer for the child that would compute; return how to, and what it was asked."""
    seen = []

    def answer(finding: Finding) -> list:
        def examine(asked, checks):
            seen.append((asked.device, [each.name for each in checks]))
            yield checks[0], finding

        monkeypatch.setattr(gpu, "examine", examine)
        return seen

    return answer


def test_a_gpu_that_does_not_compute_is_a_problem_with_its_remedy(asked):
    seen = asked(Finding("fails", "the driver is too old", "pip install torch"))
    found = gpu.gpu_problem([HERE], Path("store"))
    assert "the driver is too old" in str(found)
    assert "pip install torch" in str(found)
    assert seen == [("cuda", ["torch"])]


@pytest.mark.parametrize("mark", ["ok", "look", "not here"])
def test_one_that_computes_is_none(asked, mark):
    asked(Finding(mark, "computes", "nothing"))
    assert gpu.gpu_problem([HERE], Path("store")) is None


def test_one_that_others_have_filled_is_none(asked):
    asked(Finding("fails", "CUDA out of memory. Tried to allocate 2.00 MiB.", "see nvidia-smi"))
    assert gpu.gpu_problem([HERE], Path("store")) is None


def test_without_a_gpu_of_this_machine_nothing_is_looked_at(asked):
    seen = asked(Finding("fails", "no", "no"))
    assert gpu.gpu_problem([Device("cpu", "", 2), ELSEWHERE], Path("store")) is None
    assert gpu.gpu_problem([], Path("store")) is None
    assert seen == []


def test_it_is_among_the_problems_of_a_run(asked, tmp_path):
    asked(Finding("fails", "the driver is too old", "pip install torch"))
    (told,) = problems(Run([], frozenset(), tmp_path, [HERE]), None)
    assert "the driver is too old" in told
    assert check.problems(Run([], frozenset(), tmp_path, [ELSEWHERE]), None) == []
