"""A real cell is killed in its middle, and the next run goes on where it was saved."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from .conftest import SUITE

pytestmark = pytest.mark.e2e
ONE = (
    SUITE.replace("steps: 8", "steps: 150")
    .replace("seed: 3", "seed: 1")
    .replace("sampling_rate: [0.03, 0.05]", "sampling_rate: 0.03")
    .replace("method: [l2, l2+bss]", "method: l2+bss")
)
SAVED = "cells/*/*/progress.safetensors"


def wait_until(condition, seconds=120.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def outcomes(store: Path) -> list[dict[str, Any]]:
    records = [json.loads(f.read_text())["record"] for f in sorted(store.glob("cells/*/*/*.json"))]
    return [r["outcome"] for r in records if r["outcome"]["status"] == "done"]


def saved(bench) -> bool:
    return bool(list(bench.store.glob(SAVED)))


def undisturbed(bench, suite) -> dict[str, Any]:
    other = bench.folder / "other"
    bench("run", suite, "--workers", "1", "--keep", "--store", other)
    (outcome,) = outcomes(other)
    assert "earlier_s" not in outcome["timings"]
    return outcome


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    digests = [{n: a["sha256"] for n, a in each["artifacts"].items()} for each in (one, other)]
    return (
        digests[0] == digests[1]
        and digests[0]
        and one["metrics"] == other["metrics"]
        and one["curves"] == other["curves"]
    )


def test_kill_9_in_the_middle_of_a_cell_costs_what_was_not_saved(bench):
    suite = bench.suite(ONE)
    process = bench.start("run", suite, "--workers", "1", "--keep", "--save-every", "0.05")
    wait_until(lambda: saved(bench))
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    bench.wait_for_silence()
    assert saved(bench)
    assert not outcomes(bench.store), "killed too late to show anything"
    bench("run", suite, "--workers", "1", "--keep")
    (outcome,) = outcomes(bench.store)
    assert any(name.startswith("resumed at step ") for name in outcome["timings"])
    assert same(outcome, undisturbed(bench, suite))
    assert not saved(bench)


def test_ctrl_c_in_the_middle_of_a_cell_leaves_a_state_to_go_on_from(bench):
    suite = bench.suite(ONE)
    process = bench.start("run", suite, "--workers", "1", "--keep", "--save-every", "0.05")
    wait_until(lambda: saved(bench))
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    bench.wait_for_silence()
    assert process.returncode == 130, output
    assert saved(bench)
    log = next(bench.store.glob("cells/*/*/*.log")).read_text()
    assert "most recent call first" in log
    bench("run", suite, "--workers", "1", "--keep")
    (outcome,) = outcomes(bench.store)
    assert any(name.startswith("resumed at step ") for name in outcome["timings"])
    assert same(outcome, undisturbed(bench, suite))
    assert not saved(bench)
