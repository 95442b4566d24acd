"""Every set and every timm backbone of Model Patch's paper profiles, loaded from stand-ins."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest
import torch
import yaml

from bench.data import identity
from bench.data.prepare import prepare
from bench.errors import DataError
from bench.models.checkpoint import state_sha256
from bench.models.weights import load_backbone
from bench.scheduling.job import Job
from bench.spec import catalogue
from bench.spec.catalogue import Rows
from bench.spec.cell import Resources
from bench.spec.plan import load_plan
from bench.spec.recipe import Image
from bench.training.train_cell import train_cell
from tests.e2e.stand_ins import (
    COMMIT,
    HUB,
    colour,
    every_class,
    lay_dataset,
    lay_folder,
    lay_weights,
)

pytestmark = pytest.mark.e2e
SUITES = Path(__file__).parents[2] / "suites" / "modelpatch"
SMALL = Image(resize=8, size=8)
SETS = ("flowers-102", "stanford-cars", "fgvc-aircraft", "cifar-100", "imagenet-1k")
# Where the catalogue trains on two splits, and tests on another than "test".
TRAINED = {"flowers-102": ("train", "validation"), "fgvc-aircraft": ("train", "validation")}
TESTED = {"imagenet-1k": "validation"}
BACKBONES = ("mobilenetv2_100.ra_in1k", "inception_v3.tf_in1k", "resnet50.tv_in1k")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the Hub's cache folder; there is no network."""
    folder = tmp_path / "hub"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    monkeypatch.setenv("RETABLE_CACHE", str(tmp_path / "cache"))
    datasets.disable_progress_bars()
    return folder


@pytest.fixture
def of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out how many rows the real sets have."""
    entry = catalogue.entry

    def without_rows(name: str) -> catalogue.DatasetEntry:
        return entry(name).model_copy(update={"rows": Rows()})

    for module in (identity, catalogue):
        monkeypatch.setattr(module, "entry", without_rows)


def few_rows(name: str) -> dict[str, list[int]]:
    """Return an image a class to train on, and three of each other split, by split."""
    classes = max(HUB[name].labels.values())
    rows = {split: [classes - 1, 0, classes // 2] for split in HUB[name].splits}
    rows["train"] = every_class(classes, classes)
    if name == "imagenet-1k":
        # Its test labels are not public.
        rows["test"] = [-1, -1, -1]
    return rows


def test_nothing_that_the_paper_profiles_load_is_left_out() -> None:
    found: set[str] = set()
    backbones: set[str] = set()
    for file in SUITES.glob("*.yaml"):
        suite = yaml.safe_load(file.read_text())
        if "paper" not in suite.get("profiles", {}):
            continue
        for cell in load_plan(file, "paper").unique().values():
            found |= set(cell.datasets)
            backbones |= {cell.backbone} if "timm" in cell.weights else set()
    assert found == {*SETS, "places-365"}
    assert backbones == {"mobilenetv2_100.ra_in1k", "inception_v3.tf_in1k"}


@pytest.mark.parametrize("name", SETS)
def test_a_set_of_the_paper_is_read_as_the_hub_serves_it(
    name: str, hub: Path, of_any_size: None
) -> None:
    rows = few_rows(name)
    lay_dataset(hub, name, rows)
    ready = prepare(name, SMALL)
    splits = list(rows)
    trained = TRAINED.get(name, ("train",))
    tested = TESTED.get(name, "test")
    assert ready.train.targets.tolist() == [label for split in trained for label in rows[split]]
    assert ready.test.targets.tolist() == rows[tested]
    expected = [colour(splits.index(s), i) for s in trained for i in range(len(rows[s]))]
    assert [tuple(p) for p in ready.train.inputs[:, 3, 4].tolist()] == expected
    assert tuple(ready.test.inputs[1, 0, 7]) == colour(splits.index(tested), 1)
    assert ready.classes == max(HUB[name].labels.values())
    assert ready.facts["revision"] == catalogue.entry(name).revision


def test_places_are_read_from_an_image_folder(tmp_path: Path, hub: Path, of_any_size: None) -> None:
    lay_folder(tmp_path / "places", 365)
    resources = Resources(folders={"places-365": str(tmp_path / "places")})
    ready = prepare("places-365", SMALL, resources)
    assert ready.train.targets.tolist() == ready.test.targets.tolist() == list(range(365))
    assert tuple(ready.train.inputs[300, 2, 2]) == colour(0, 300)
    assert tuple(ready.test.inputs[300, 2, 2]) == colour(1, 300)


def test_a_stand_in_is_not_taken_for_the_set(hub: Path) -> None:
    lay_dataset(hub, "flowers-102", few_rows("flowers-102"))
    with pytest.raises(DataError, match="has 105 train images, not 2040"):
        prepare("flowers-102", SMALL)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_loaded_backbone_and_head_are_the_files(backbone: str, hub: Path) -> None:
    laid = lay_weights(hub, backbone)
    loaded = load_backbone(backbone, "timm", seed=0, resources=Resources())
    assert loaded.source == f"timm:timm/{backbone}@{COMMIT}"
    found = dict(loaded.module.state_dict())
    head = "classifier" if backbone.startswith("mobilenet") else "fc"
    found |= {f"{head}.{name}": value for name, value in loaded.heads[""].items()}
    assert found.keys() == laid.keys()
    assert all(torch.equal(found[name], laid[name]) for name in laid)


def test_a_cell_of_the_paper_profile_trains_on_them(
    tmp_path: Path, hub: Path, of_any_size: None
) -> None:
    suite = yaml.safe_load((SUITES / "table5.yaml").read_text())
    suite["profiles"]["cheap"] = {
        "extends": "paper",
        "axes": {"dataset": "flowers-102", "method": "sb+last", "seed": 1},
        "recipe": {"steps": 2, "batch_size": 8, "image": {"resize": 32, "size": 32}},
    }
    file = tmp_path / "modelpatch" / "table5.yaml"
    file.parent.mkdir()
    file.write_text(yaml.safe_dump(suite))
    (file.parent / "paper.yaml").write_text("id: modelpatch\ntitle: Model Patch\n")
    lay_dataset(hub, "flowers-102", few_rows("flowers-102"))
    laid = lay_weights(hub, "mobilenetv2_100.ra_in1k")
    (cell,) = load_plan(file, "cheap").unique().values()
    assert cell.recipe is not None
    assert cell.recipe.optimizer.rmsprop is not None
    assert cell.recipe.optimizer.rmsprop.lr == 0.045
    outcome = train_cell(Job(cell, 1, tmp_path / "cells" / "ab" / cell.id))
    assert outcome.status == "done"
    # γ and β of MobileNetV2, and a last layer of 102 classes.
    assert outcome.metrics["parameters/trained"] == 34_112 + 102 * 1280 + 102
    assert outcome.provenance.data["train_images"] == 105
    body = {name: value for name, value in laid.items() if not name.startswith("classifier.")}
    assert outcome.provenance.weights["start"]["sha256"] == state_sha256(body)
