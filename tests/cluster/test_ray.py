"""Cells on a real Ray cluster: two machines without a common folder, of which one is killed."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.files import file_sha256
from bench.import_path import with_package
from bench.records.store import Store
from bench.scheduling.device import Device
from bench.scheduling.engines.local import LocalEngine
from bench.scheduling.run import run
from tests.cluster import plan, ray_cluster

pytestmark = pytest.mark.cluster
APART = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]


@pytest.fixture(autouse=True)
def needed() -> None:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: uv pip install 'retable[ray]'")
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("needs unshare and ip, to give a cluster a network of its own")
    if subprocess.run([*APART, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs to be root, to give a cluster a network of its own")


def test_cells_run_on_two_machines_one_of_which_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", ray_cluster.__name__, str(tmp_path)]
    ended = subprocess.run(
        [*APART, *command], env=with_package(), capture_output=True, text=True, timeout=500,
        check=False, cwd=os.path.dirname(os.path.dirname(os.path.dirname(__file__))),
    )  # fmt: skip
    logs = "".join(log.read_text()[-2000:] for log in tmp_path.glob("*.log"))
    assert ended.returncode == 0, f"{ended.stdout}{ended.stderr}{logs}"
    told = json.loads(ended.stdout.rpartition("told ")[2])

    cells = plan.cells()
    assert len(told["devices"]) == 2
    assert (told["done"], told["failures"], told["killed"]) == (40, [], True)
    store = Store(tmp_path / "store")
    local = Store(tmp_path / "local")
    run(cells, local, LocalEngine([Device("cpu", "", 2)], target=plan.TARGET))
    folders = set()
    for each in cells:
        records = list(store.attempts(each.cell.id))
        assert [r.outcome.status for r in records[:-1]] == ["cancelled"] * (len(records) - 1)
        there, here = records[-1].outcome, list(local.attempts(each.cell.id))[-1].outcome
        assert (there.status, there.metrics) == ("done", here.metrics)
        for name, artifact in there.artifacts.items():
            file = store.layout.cell(each.cell.id).artifact(artifact.file)
            assert file_sha256(file) == artifact.sha256 == here.artifacts[name].sha256
        folders.add(there.provenance.machine["folder"].partition("/jobs/")[0])
    # Both machines did some, and none of them in the store.
    assert len(folders) == 2
    assert not any(folder.startswith(str(store.root)) for folder in folders)
