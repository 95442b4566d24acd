"""What is fetched from a stand-in Hub loads on a node as a whole download of it does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.fetched import MANIFEST
from tests.e2e.stand_ins import HUB, every_class, lay_dataset, lay_weights
from tests.hub_stand_in import Fault, Hub, repository_of, served

pytestmark = pytest.mark.e2e
SET, BACKBONE = "stanford-cars", "mobilenetv2_100.ra_in1k"
SUITE = ["modelpatch/table5", "--profile", "paper", "--only", f"dataset={SET}"]
# What a cell loads, by the loaders that it uses, in a process of its own.
LOADED = """
import hashlib, json, sys
import datasets
from bench.data.sources.hub_rows import load
from bench.models.weights import load_backbone
from bench.errors import UserError
from bench.spec.catalogue import entry
from bench.spec.cell import Resources

datasets.disable_progress_bars()
rows, revision = load(entry(sys.argv[1]))
digest = hashlib.sha256()
for split in ("train", "test"):
    part = rows[split].cast_column("image", datasets.Image(decode=False))
    for row in part:
        digest.update(row["image"]["bytes"] + b"%d" % row["label"])
net = load_backbone(sys.argv[2], "timm", seed=0, resources=Resources())
said = {"revision": revision, "rows": digest.hexdigest(), "weights": net.sha256,
        "features": repr(rows["train"].features), "source": net.source}
print(json.dumps([said, list(rows)]))
for file in sys.argv[3:]:
    with open(file, "r+b") as damaged:
        damaged.seek(50)
        damaged.write(b"?")
    try:
        load(entry(sys.argv[1]))
        load_backbone(sys.argv[2], "timm", seed=0, resources=Resources())
    except UserError as error:
        print(json.dumps(error.message))
"""


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    """Serve a set with nine splits, of which two are used, and timm's weights."""
    laid = tmp_path / "whole" / "hub"
    rows = {split: [195, 0, 97] for split in HUB[SET].splits}
    rows["train"] = every_class(196, 196)
    lay_dataset(laid, SET, rows)
    lay_weights(laid, BACKBONE)
    (cars,) = laid.glob("datasets--*/snapshots/*")
    (weights,) = laid.glob("models--*/snapshots/*")
    with served(
        repository_of("dataset", "tanganke/stanford_cars", cars),
        repository_of("model", f"timm/{BACKBONE}", weights),
    ) as hub:
        yield hub


def ran(hub_url: str, home: Path, *command: str, offline: bool = False) -> str:
    """Run Python with a Hub and a cache of its own; return what it printed."""
    passed = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "RETABLE_"))}
    environment = {
        **passed,
        "HF_ENDPOINT": hub_url,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        **({"HF_HUB_OFFLINE": "1"} if offline else {}),
    }
    done = subprocess.run(
        [sys.executable, *command],
        env=environment,
        capture_output=True,
        text=True,
        cwd=home.parent,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_node_without_a_network_loads_what_a_whole_download_holds(
    hub: Hub, tmp_path: Path
) -> None:
    carried = tmp_path / "carried"
    # The first of two shards ends in the middle, and one comes wrong.
    hub.faults += [Fault("cut", "train-00000", 20_000), Fault("wrong", "test-00001")]
    said = ran(hub.url, tmp_path / "none", "-m", "bench", "fetch", *SUITE, "--to", str(carried))
    assert "dataset tanganke/stanford_cars@9abf6cf7d6df: 5 files" in said
    assert f"HF_HUB_OFFLINE=1 HF_HOME={carried} bench run modelpatch/table5" in said
    # Seven of nine splits are not asked for.
    got = {path for method, path, _ in hub.asked if method == "GET" and "/bytes/" in path}
    assert {Path(path).name.split("-")[0] for path in got if path.endswith("parquet")} == {
        "train",
        "test",
    }
    listed = json.loads((carried / MANIFEST).read_text())["repositories"]
    assert all(one["complete"] for one in listed)
    model = next(one for one in listed if one["kind"] == "model")
    assert (model["revision"], model["commit"]) == (None, "c" * 40)

    hub.asked.clear()
    whole = ran(hub.url, tmp_path / "whole", "-c", LOADED, SET, BACKBONE, offline=True)
    damaged = [next(carried.rglob("test-00000*")), next(carried.rglob("*.safetensors"))]
    told = ran(
        hub.url, carried, "-c", LOADED, SET, BACKBONE, *map(str, damaged), offline=True
    ).splitlines()
    assert not hub.asked
    loaded, splits = json.loads(told[0])
    assert splits == ["train", "test"]
    assert [loaded, list(HUB[SET].splits)] == json.loads(whole)
    assert "test-00000-of-00002.parquet is not the file that was fetched" in told[1]
    # The set is refused before the weights are looked at.
    assert "test-00000-of-00002.parquet is not the file that was fetched" in told[2]
