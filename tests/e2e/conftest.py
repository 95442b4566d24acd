"""Whole commands on real data: each test runs ``bench`` as a user would."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "bench"]

# Digits at 16 pixels: real data, and a cell takes a fraction of a second.
SUITE = """
title: Small cells
axes:
  backbone: test_resnet
  weights: random
  dataset: digits
  sampling_rate: [0.03, 0.05]
  method: [l2, l2+bss]
  seed: 3
recipe:
  steps: 8
  batch_size: 16
  image: {resize: 16, size: 16}
  augmentation: {crop: centre, flip: false}
  optimizer: {sgd: {lr: 0.03, backbone_lr: 0.003, momentum: 0.9}}
methods:
  l2: {penalties: {l2: {weight: 5e-4}}}
  l2+bss: {penalties: {l2: {weight: 5e-4}, bss: {eta: 1e-3, k: 1}}}
profiles:
  offline: {}
"""


@dataclass
class Bench:
    """``bench`` in a folder of its own, with a store and the shared data cache."""

    folder: Path
    cache: Path
    marker: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def store(self) -> Path:
        return self.folder / "results"

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "RETABLE_CACHE": str(self.cache),
            "RETABLE_STORE": str(self.store),
            "RETABLE_E2E": self.marker,
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "120",
        }

    def suite(self, text: str = SUITE, name: str = "small/table") -> Path:
        file = self.folder / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.lstrip())
        paper = file.parent / "paper.yaml"
        if not paper.exists():
            paper.write_text("id: small\ntitle: Small cells\n")
        return file

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def __call__(self, *arguments: object, code: int | None = 0) -> str:
        process = self.start(*arguments)
        try:
            output, _ = process.communicate(timeout=300)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        if code is not None:
            assert process.returncode == code, output
        return output

    def records(self) -> list[dict]:
        return [
            json.loads(f.read_text())["record"] for f in sorted(self.store.glob("cells/*/*/*.json"))
        ]

    def done(self) -> Counter[str]:
        """How often each cell was done."""
        return Counter(r["cell"]["id"] for r in self.records() if r["outcome"]["status"] == "done")

    def processes(self) -> list[int]:
        """Processes that descend from this test's commands, by their environment."""
        wanted = f"RETABLE_E2E={self.marker}".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if wanted in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue
        return found

    def wait_for_silence(self, seconds: float = 15) -> None:
        end = time.monotonic() + seconds
        while self.processes() and time.monotonic() < end:
            time.sleep(0.1)
        assert not self.processes()


@pytest.fixture(scope="session")
def data_cache(tmp_path_factory) -> Path:
    return tmp_path_factory.getbasetemp() / "data-cache"


@pytest.fixture
def bench(tmp_path: Path, data_cache: Path) -> Bench:
    return Bench(tmp_path, data_cache)
