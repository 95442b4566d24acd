"""Whole commands on real data: each test runs ``bench`` as a user would.

Most commands run in this process, whose fork server imports torch once for all of them. What is
about processes (kills, signals, code edited between commands) runs in one of its own.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bench.cli.main import main

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
            "RETABLE_CACHE": str(self.cache),
            "RETABLE_STORE": str(self.store),
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
        """Start a command in a process of its own, as from a shell."""
        return subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            cwd=self.folder,
            env={**os.environ, **self.environment, "RETABLE_E2E": self.marker},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def __call__(self, *arguments: object, code: int | None = 0) -> str:
        """Return what a command prints, run in this process."""
        printed, ended = io.StringIO(), 0
        with (
            pytest.MonkeyPatch.context() as patch,
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
        ):
            patch.chdir(self.folder)
            for name, value in self.environment.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["bench", *map(str, arguments)])
            try:
                main()
            except SystemExit as end:
                ended = end.code
        if code is not None:
            assert ended == code, printed.getvalue()
        return printed.getvalue()

    def apart(self, *arguments: object, code: int = 0) -> str:
        """Return what a command prints, run in a process of its own."""
        process = self.start(*arguments)
        try:
            output, _ = process.communicate(timeout=300)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
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
        """Processes that descend from this test's own processes, by their environment."""
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


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium of the system; nothing is downloaded."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no chromium: on Debian, apt-get install chromium")
    with api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield launched
        launched.close()
