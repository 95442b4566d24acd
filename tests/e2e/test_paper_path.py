"""The paper profile's own road, on stand-ins in the formats of the Hub.

The suite is the shipped one; only what costs hours is overlaid. The dataset and the weights are
found as ``hf download`` leaves them, under the ids, revisions and file names of the real ones.
"""

from __future__ import annotations

import io
from pathlib import Path

import datasets
import numpy as np
import pytest
import timm
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

from bench.spec.catalogue import entry

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]
CHEAP = {
    "extends": "paper",
    "axes": {
        "dataset": "oxford-iiit-pet", "sampling_rate": 0.15, "method": "l2+bss", "seed": 1,
    },
    "recipe": {
        "steps": 2, "batch_size": 8, "image": {"resize": 32, "size": 32},
        "evaluation": {"crops": 1},
    },
}  # fmt: skip


def stand_in_dataset(hub: Path, name: str) -> None:
    """Lay out a Hub dataset of the right size, columns and classes, with tiny images."""
    about = entry(name)
    folder = hub / f"datasets--{about.hub.replace('/', '--')}" / "snapshots" / about.revision
    (folder / "data").mkdir(parents=True)
    names = [f"breed {i}" for i in range(about.classes)]
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=names)}
    )
    encoded = []
    for colour in range(about.classes):
        buffer = io.BytesIO()
        Image.new("RGB", (12, 10), (7 * colour % 256, 3 * colour, 90)).save(buffer, "JPEG")
        encoded.append({"bytes": buffer.getvalue(), "path": None})
    for split, rows in (("train", about.rows.train), ("test", about.rows.test)):
        labels = [i % about.classes for i in range(rows)]
        table = datasets.Dataset.from_dict(
            {"image": [encoded[label] for label in labels], "label": labels}, features=features
        )
        table.to_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")


def stand_in_weights(hub: Path, backbone: str) -> dict[str, torch.Tensor]:
    """Lay out a timm model repository with weights drawn at random; return them."""
    folder = hub / f"models--timm--{backbone}"
    commit = "c" * 40
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(commit)
    (folder / "snapshots" / commit).mkdir(parents=True)
    torch.manual_seed(5)
    state = timm.create_model(backbone.partition(".")[0], pretrained=False).state_dict()
    save_file(state, folder / "snapshots" / commit / "model.safetensors")
    return state


@pytest.fixture
def standing_in(bench, monkeypatch):
    hub = bench.folder / "hf" / "hub"
    stand_in_dataset(hub, "oxford-iiit-pet")
    state = stand_in_weights(hub, "resnet50.tv_in1k")
    monkeypatch.setenv("HF_HOME", str(bench.folder / "hf"))
    bench.cache = bench.folder / "cache"
    return state


def cheap_suite(bench) -> Path:
    suite = yaml.safe_load((ROOT / "suites" / "bss" / "table2.yaml").read_text())
    suite["profiles"]["cheap"] = CHEAP
    file = bench.folder / "bss" / "table2.yaml"
    file.parent.mkdir()
    file.write_text(yaml.safe_dump(suite))
    (file.parent / "paper.yaml").write_text((ROOT / "suites/bss/paper.yaml").read_text())
    return file


def test_hub_data_and_timm_weights_are_loaded_as_in_the_paper_profile(bench, standing_in):
    suite = cheap_suite(bench)
    bench("run", suite, "--profile", "cheap", "--workers", "1")
    (record,) = bench.records()
    made = record["outcome"]["provenance"]
    # ceil(0.15 n) of each class: 17 classes of 100 and 20 of 99 images, 15 of each.
    counts = np.bincount([i % 37 for i in range(3680)])
    assert made["data"]["train_images"] == sum(-(-15 * int(c) // 100) for c in counts)
    assert made["data"]["test_images"] == 3669
    assert made["data"]["revision"] == entry("oxford-iiit-pet").revision
    assert made["weights"]["start"]["source"] == f"timm:timm/resnet50.tv_in1k@{'c' * 40}"
    assert record["cell"]["settings"]["recipe"]["optimizer"]["sgd"]["momentum"] == 0.95
    assert set(record["outcome"]["metrics"]) >= {"test/top1", "test/top5", "test/loss"}


def test_the_loaded_backbone_is_the_files(standing_in, monkeypatch):
    import os

    from bench.models.weights import load_backbone
    from bench.spec.cell import Resources

    hub = Path(os.environ["HF_HOME"]) / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(hub))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    loaded = load_backbone("resnet50.tv_in1k", "timm", seed=0, resources=Resources())
    for name, tensor in loaded.module.state_dict().items():
        assert torch.equal(tensor, standing_in[name])


def test_without_network_or_cache_the_message_says_what_to_fetch(bench, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(bench.folder / "empty"))
    bench.cache = bench.folder / "cache"
    output = bench("run", cheap_suite(bench), "--profile", "cheap", "--workers", "1", code=1)
    assert "hf download --repo-type dataset timm/oxford-iiit-pet" in output
    assert "Traceback" not in output
