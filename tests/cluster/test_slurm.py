"""Fleets on a real Slurm: whatever happens to nodes and jobs, each cell is done exactly once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.slurm_cluster import SlurmCluster, slurm_cluster

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).parents[2]
SUITE = """\
title: Small cells
axes:
  backbone: test_resnet
  weights: random
  dataset: digits
  sampling_rate: [0.03, 0.05]
  method: [l2, l2+bss]
  seed: {seeds}
recipe:
  steps: {steps}
  batch_size: 16
  image: {{resize: 16, size: 16}}
  augmentation: {{crop: centre, flip: false}}
  optimizer: {{sgd: {{lr: 0.03, backbone_lr: 0.003, momentum: 0.9}}}}
methods:
  l2: {{penalties: {{l2: {{weight: 5e-4}}}}}}
  l2+bss: {{penalties: {{l2: {{weight: 5e-4}}, bss: {{eta: 1e-3, k: 1}}}}}}
profiles:
  offline: {{}}
"""
SETTINGS = "gpus: 0\ncpus: 1\ntime: 30\nmax_pilots: 2\nsbatch: {exclusive: true}\n"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[SlurmCluster]:
    yield from slurm_cluster(tmp_path_factory.mktemp("slurm"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


class Site:
    """A folder with a suite, and ``bench`` on the cluster's side of the network."""

    def __init__(self, folder: Path, cluster: SlurmCluster, cache: Path) -> None:
        self.folder = folder
        self.cluster = cluster
        self.store = folder / "results"
        self.environment = {
            **cluster.environment,
            "RETABLE_CACHE": str(cache),
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
        }

    def quick(self, seconds: float) -> None:
        """Let cells sleep in place of training."""
        quick = ROOT / "tests" / "cluster" / "quick"
        self.environment |= {"PYTHONPATH": f"{quick}:{ROOT}", "QUICK_SECONDS": str(seconds)}

    def suite(self, *, seeds: int, steps: int, settings: str = SETTINGS) -> Path:
        file = self.folder / "small" / "table.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(SUITE.format(seeds=seeds, steps=steps))
        (file.parent / "paper.yaml").write_text("id: small\ntitle: Small cells\n")
        (file.parent / "slurm.yaml").write_text(settings)
        return file

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        line = self.cluster.command(sys.executable, "-m", "bench", *arguments)
        # What runs the tests in the background ignores Ctrl-C, and is not to hand that on.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return subprocess.Popen(
                line, cwd=self.folder, env=self.environment, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
        finally:
            signal.signal(signal.SIGINT, before)

    def bench(self, *arguments: object, code: int = 0) -> str:
        process = self.start(*arguments)
        try:
            output, _ = process.communicate(timeout=400)
        finally:
            process.kill()
        assert process.returncode == code, output + self.logs()
        return output

    def logs(self) -> str:
        files = sorted(self.store.glob("fleets/*/*.out"))
        return "\n".join(f"{f.name}:\n{f.read_text()[-3000:]}" for f in files)

    def records(self, store: Path | None = None) -> list[dict[str, Any]]:
        files = sorted((store or self.store).glob("cells/*/*/*.json"))
        return [json.loads(file.read_text())["record"] for file in files]

    def done(self, store: Path | None = None) -> dict[str, dict[str, Any]]:
        """What each done cell measured; no cell is done twice."""
        done = [r for r in self.records(store) if r["outcome"]["status"] == "done"]
        often = Counter(record["cell"]["id"] for record in done)
        assert set(often.values()) <= {1}
        return {record["cell"]["id"]: record["outcome"]["metrics"] for record in done}

    def wait_done(self, count: int) -> None:
        self.cluster.wait(lambda: len(self.done()) >= count, 300, f"{count} cells done")


@pytest.fixture
def site(tmp_path: Path, cluster: SlurmCluster, cache: Path) -> Iterator[Site]:
    site = Site(tmp_path, cluster, cache)
    yield site
    cluster.run("scancel", "--user=root", check=False)
    cluster.wait(lambda: not cluster.jobs(), 60, "no jobs are left")


def test_a_lost_node_costs_no_cell_and_doubles_none(site: Site) -> None:
    suite = site.suite(seeds=10, steps=20)
    run = site.start("run", suite, "--engine", "slurm", "--no-check")
    site.wait_done(3)
    nodes = {node for _, state, node in site.cluster.jobs() if state == "RUNNING"}
    assert nodes == {"n1", "n2"}
    site.cluster.kill_node("n1")
    told, _ = run.communicate(timeout=400)
    assert run.returncode == 0, told + site.logs()
    assert "40/40 done" in told
    fleet = site.done()
    assert len(fleet) == 40
    assert not [r for r in site.records() if r["outcome"]["status"] != "done"]
    # The same bits as of one runner on one machine.
    some = ("--only", "seed=0:2", "--workers", "2", "--no-check")
    site.bench("run", suite, "--engine", "local", *some, "--store", "alone")
    alone = site.done(site.folder / "alone")
    assert len(alone) == 8
    assert alone.items() <= fleet.items()
    site.cluster.start_node("n1")


def test_before_its_time_ends_a_pilot_lets_its_cells_go_and_comes_back(site: Site) -> None:
    site.quick(1.5)
    suite = site.suite(
        seeds=1, steps=150, settings=SETTINGS.replace("max_pilots: 2", "max_pilots: 1")
    )
    run = site.start("run", suite, "--engine", "slurm", "--no-check")
    site.wait_done(1)
    ((job, _, _),) = site.cluster.jobs()
    # What Slurm does so many seconds before the time limit.
    site.cluster.run("scancel", "--signal=USR2", job)
    told, _ = run.communicate(timeout=400)
    assert run.returncode == 0, told + site.logs()
    assert len(site.done()) == 4
    statuses = Counter(r["outcome"]["status"] for r in site.records())
    assert statuses["done"] == 4
    assert statuses["cancelled"] <= 1
    assert set(statuses) <= {"done", "cancelled"}
    (report,) = site.store.glob("fleets/*/pilots/*.1.json")
    assert json.loads(report.read_text())["job"] == job
    assert "requeued once" in site.bench("status", suite)


def test_a_cancelled_fleet_leaves_nothing(site: Site) -> None:
    site.quick(2)
    suite = site.suite(seeds=10, steps=300)
    output = site.bench("run", suite, "--engine", "slurm", "--no-check", "--detach")
    assert "2 new pilots" in output
    site.wait_done(1)
    assert "pilot" in site.bench("status", suite, code=1)
    site.bench("cancel")
    site.cluster.wait(lambda: not site.cluster.jobs(), 60, "no jobs are left")
    left = [
        pid for node in ("n1", "n2") for pid in site.cluster.processes(f"SLURMD_NODENAME={node}")
    ]
    assert not left
    assert not list(site.store.glob("cells/*/*/*.lease"))
    assert not list(site.store.glob("runners/*.json"))
    statuses = Counter(r["outcome"]["status"] for r in site.records())
    assert set(statuses) <= {"done", "cancelled"}
    site.bench("clean")
    assert not list(site.store.glob("fleets/*"))


def test_ctrl_c_leaves_the_pilots_and_the_same_command_watches_them_again(site: Site) -> None:
    site.quick(1)
    suite = site.suite(seeds=2, steps=60)
    run = site.start("run", suite, "--engine", "slurm", "--no-check")
    site.wait_done(1)
    os.kill(run.pid, signal.SIGINT)
    told, _ = run.communicate(timeout=60)
    assert run.returncode == 130, told
    assert "bench cancel" in told
    fleets = list(site.store.glob("fleets/*.json"))
    again = site.bench("run", suite, "--engine", "slurm", "--no-check")
    assert "8/8 done" in again or "nothing is submitted" in again
    assert list(site.store.glob("fleets/*.json")) == fleets
    assert len(site.done()) == 8


def test_a_pilot_with_other_code_computes_nothing_and_the_watcher_says_so(site: Site) -> None:
    other = site.folder / "other"
    other.mkdir()
    subprocess.run(["cp", "-r", str(ROOT / "bench"), str(other)], check=True)
    edited = other / "bench" / "training" / "loop.py"
    edited.write_text(edited.read_text() + "\n_EDITED = 1\n")
    settings = f"{SETTINGS}setup: [export PYTHONPATH={other}]\n"
    suite = site.suite(seeds=1, steps=8, settings=settings)
    began = time.monotonic()
    told = site.bench("run", suite, "--engine", "slurm", "--no-check", code=2)
    assert "the code of" in told
    assert time.monotonic() - began < 120
    assert not site.records()
