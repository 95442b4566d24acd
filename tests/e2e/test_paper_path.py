"""The paper profile's own road, on stand-ins in the formats of the Hub.

The suite is the shipped one; only what costs hours is overlaid. The dataset and the weights are
found as ``hf download`` leaves them, under the ids, revisions and file names of the real ones.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from bench.spec.catalogue import entry
from tests.e2e.stand_ins import COMMIT, every_class, lay_dataset, lay_weights

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


@pytest.fixture
def standing_in(bench, monkeypatch):
    hub = bench.folder / "hf" / "hub"
    rows = {"train": every_class(37, 3680), "test": every_class(37, 3669)}
    lay_dataset(hub, "oxford-iiit-pet", rows)
    lay_weights(hub, "resnet50.tv_in1k")
    monkeypatch.setenv("HF_HOME", str(bench.folder / "hf"))
    bench.cache = bench.folder / "cache"


def cheap_suite(bench) -> Path:
    suite = yaml.safe_load((ROOT / "suites" / "bss" / "table2.yaml").read_text())
    suite["profiles"]["cheap"] = CHEAP
    file = bench.folder / "bss" / "table2.yaml"
    file.parent.mkdir()
    file.write_text(yaml.safe_dump(suite))
    # Claims about suites that are not beside it would be an error.
    paper = yaml.safe_load((ROOT / "suites" / "bss" / "paper.yaml").read_text())
    paper["claims"] = [each for each in paper["claims"] if each.get("suite") == "table2"]
    (file.parent / "paper.yaml").write_text(yaml.safe_dump(paper))
    return file


def test_hub_data_and_timm_weights_are_loaded_as_in_the_paper_profile(bench, standing_in):
    suite = cheap_suite(bench)
    bench.apart("run", suite, "--profile", "cheap", "--workers", "1")
    (record,) = bench.records()
    made = record["outcome"]["provenance"]
    # ceil(0.15 n) of each class: 17 classes of 100 and 20 of 99 images, 15 of each.
    counts = np.bincount([i % 37 for i in range(3680)])
    assert made["data"]["train_images"] == sum(-(-15 * int(c) // 100) for c in counts)
    assert made["data"]["test_images"] == 3669
    assert made["data"]["revision"] == entry("oxford-iiit-pet").revision
    assert made["weights"]["start"]["source"] == f"timm:timm/resnet50.tv_in1k@{COMMIT}"
    assert record["cell"]["settings"]["recipe"]["optimizer"]["sgd"]["momentum"] == 0.95
    assert set(record["outcome"]["metrics"]) >= {"test/top1", "test/top5", "test/loss"}


def test_without_network_or_cache_the_message_says_what_to_fetch(bench, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(bench.folder / "empty"))
    bench.cache = bench.folder / "cache"
    suite = cheap_suite(bench)
    of_data = "hf download --repo-type dataset timm/oxford-iiit-pet"
    output = bench.apart("run", suite, "--profile", "cheap", "--workers", "1", code=2)
    # Both at once, before the first cell.
    assert of_data in output
    assert "hf download timm/resnet50.tv_in1k" in output
    assert "Traceback" not in output
    assert not bench.records()
    cheap = ("--profile", "cheap", "--workers", "1", "--no-check")
    output = bench.apart("run", suite, *cheap, code=1)
    assert of_data in output
    assert "Traceback" not in output
