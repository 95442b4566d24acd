"""The list for a GPU machine, small and on the CPU."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def gpu(monkeypatch):
    """The benchmark's module, as a script finds it."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setenv("PYTHONPATH", str(FOLDER), prepend=":")
    import gpu

    return gpu


@pytest.mark.parametrize("name", ["driver", "deterministic", "timing", "profile", "peaks"])
def test_a_section_runs_small_on_the_cpu(gpu, name):
    found = gpu.section(name, True)
    assert found["state"] == "done", found
    assert gpu.rows_of(found["told"])
    json.dumps(found)


@pytest.mark.e2e
@pytest.mark.parametrize("name", ["smoke", "attention", "sharing", "fork"])
def test_a_section_that_starts_processes_runs_small_on_the_cpu(gpu, name):
    found = gpu.section(name, True)
    assert found["state"] == "done", found
    if name == "smoke":
        assert found["told"]["slots"]["cells"] > 0
        assert found["told"]["slots"]["bench_diff"] == 0


def test_what_needs_a_gpu_is_not_here(gpu, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.section("full-memory", True)["state"] == "not here"
    assert gpu.section("timing", False)["state"] == "not here"


def test_other_bits_are_a_failure_and_no_result(gpu, monkeypatch):
    import itertools

    import gpu_sections

    count = itertools.count()
    taken = lambda case, where, steps: SimpleNamespace(digest=next(count), peak=None)  # noqa: E731
    monkeypatch.setattr(gpu_sections, "take", taken)
    found = gpu.section("deterministic", True)
    assert found["state"] == "failed"
    assert "other bits" in found["why"]


def test_stores_in_which_nothing_is_done_are_not_equal(gpu, monkeypatch, tmp_path):
    import gpu_sections

    with pytest.raises(RuntimeError, match="0 cells are done"):
        gpu_sections.compared(tmp_path / "one", tmp_path / "other")


def test_tf32_lasts_as_long_as_it_is_asked_for(gpu):
    import gpu_steps

    from bench.training.numeric_settings import current, told

    before = current()
    for precision in gpu_steps.PRECISIONS:
        with gpu_steps.computing(precision):
            expected = "tf32" if precision == "tf32" else "ieee"
            assert {told()["matmul"], told()["convolution"]} == {expected}
    assert current() == before


def test_every_papers_network_is_tried_at_its_largest_batch(gpu):
    import gpu_steps

    cases = {case.network: case for case in gpu_steps.cases_of_papers()}
    resnext = cases["resnext101_32x8d.tv_in1k"]
    assert (resnext.batch, resnext.size) == (256, 148)
    assert {"resnet50.tv_in1k", "vgg19.tv_in1k", "densenet201.tv_in1k"} < set(cases)


def test_one_section_that_fails_keeps_no_other_from_running(gpu, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(
        gpu,
        "apart",
        lambda name, tiny, limit: (
            {"seconds": 1.0}
            | (
                {"state": "failed", "why": "odd"}
                if name == "timing"
                else {"state": "done", "told": {}}
            )
        ),
    )
    assert gpu.main(["--only", "timing,fork", "--to", str(tmp_path / "all.json")]) == 1
    assert list(json.loads((tmp_path / "all.json").read_text())["sections"]) == ["timing", "fork"]
    assert "odd" in capsys.readouterr().out
    assert gpu.main(["--only", "fork"]) == 0


def test_a_section_past_its_time_is_ended_and_fails(gpu, monkeypatch, tmp_path):
    script = tmp_path / "slow.py"
    script.write_text("import time; time.sleep(60)")
    monkeypatch.setattr(gpu, "__file__", str(script))
    found = gpu.apart("timing", True, 0.3)
    assert (found["state"], found["why"]) == ("failed", "not done within 0 s")


def test_a_section_that_says_nothing_fails(gpu, monkeypatch, tmp_path):
    script = tmp_path / "silent.py"
    script.write_text("")
    monkeypatch.setattr(gpu, "__file__", str(script))
    assert gpu.apart("timing", True, 60.0)["state"] == "failed"
