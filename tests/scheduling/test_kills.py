"""The benchmark of random kills is run briefly, and would see what it looks for."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.records.codec import dump_record, load_record

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "kills.py"


def kills(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), "--folder", str(folder), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_a_few_kills_and_a_round_lose_nothing_and_faults_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = kills(tmp_path, "--quick")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.startswith("10 kills")
    assert "0 lost, 0 done twice, 0 with other bits than they should have" in ran.stdout
    # Asked again it does nothing twice.
    assert kills(tmp_path, "--quick").stdout == ran.stdout

    # A record that is gone, one that is there twice, and one with another number are all seen.
    round_ = tmp_path / "round-0000"
    lost, twice, unequal, *_ = sorted((round_ / "cells").glob("*/*/0001.json"))
    lost.unlink()
    same = load_record(twice.read_bytes())
    twice.with_name("0002.json").write_text(dump_record(replace(same, attempt=2)))
    other = load_record(unequal.read_bytes())
    metrics = {"test/top1": other.outcome.metrics["test/top1"] * (1 + 1e-12)}
    outcome = replace(other.outcome, metrics=metrics)
    unequal.write_text(dump_record(replace(other, outcome=outcome)))
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    faults = importlib.import_module("kills").Faults()
    faults.look(round_, 12)
    assert (faults.lost, faults.twice, faults.unequal) == (1, 1, 1)
