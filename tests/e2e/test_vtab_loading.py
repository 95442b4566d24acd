"""All 19 tasks of VTAB-1k, loaded from stand-ins: the archive's lists, and the Hub's."""

from __future__ import annotations

from pathlib import Path

import datasets
import numpy as np
import pytest

from bench.data import identity
from bench.data.prepare import prepare
from bench.spec import catalogue
from bench.spec.catalogue import Rows, entry
from bench.spec.plan import load_plan
from bench.spec.recipe import Image
from tests.e2e.stand_ins import colour, encoded, every_class, lay_dataset

pytestmark = pytest.mark.e2e
SUITE = Path(__file__).parents[2] / "suites" / "profit" / "vtab.yaml"
SMALL = Image(resize=4, size=4)
PREFIX = "vtab-1k-"
# The folders of the archive, and how many classes VTAB's own code gives each task.
ARCHIVE = {
    "caltech101": ("caltech101", 102), "dtd": ("dtd", 47), "flowers102": ("oxford_flowers102", 102),
    "pets": ("oxford_iiit_pet", 37), "svhn": ("svhn", 10), "sun397": ("sun397", 397),
    "patch-camelyon": ("patch_camelyon", 2), "eurosat": ("eurosat", 10),
    "resisc45": ("resisc45", 45), "diabetic-retinopathy": ("diabetic_retinopathy", 5),
    "clevr-count": ("clevr_count", 8), "clevr-dist": ("clevr_dist", 6), "dmlab": ("dmlab", 6),
    "kitti-dist": ("kitti", 4), "dsprites-loc": ("dsprites_loc", 16),
    "dsprites-ori": ("dsprites_ori", 16), "smallnorb-azi": ("smallnorb_azi", 18),
    "smallnorb-ele": ("smallnorb_ele", 9),
}  # fmt: skip


@pytest.fixture(autouse=True)
def without_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out how many rows the real sets have, and the network."""

    def without_rows(name: str) -> catalogue.DatasetEntry:
        return entry(name).model_copy(update={"rows": Rows()})

    for module in (identity, catalogue):
        monkeypatch.setattr(module, "entry", without_rows)
    monkeypatch.setenv("RETABLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    datasets.disable_progress_bars()


def lay_task(folder: Path, classes: int) -> None:
    """Lay out a task of the archive: as many images as classes, and 3 to test on."""
    for place, (split, name) in enumerate([("train800val200", "train800val200"), ("test", "test")]):
        home = folder / "images" / split
        home.mkdir(parents=True)
        lines = []
        # The last class has no training image, as some of SUN397 have none.
        labels = [k % (classes - 1) for k in range(classes)] if place == 0 else [classes - 1, 0, 1]
        for row, label in enumerate(labels):
            (home / f"{row:06}.jpg").write_bytes(encoded(colour(place, row)))
            lines.append(f"images/{split}/{row:06}.jpg {label}\n")
        (folder / f"{name}.txt").write_text("".join(lines))


def test_all_19_tasks_of_the_paper_profile_are_read(tmp_path: Path) -> None:
    suite = tmp_path / "suites" / "profit" / "vtab.yaml"
    suite.parent.mkdir(parents=True)
    suite.write_text(SUITE.read_text())
    (suite.parent / "paper.yaml").write_text("id: profit\ntitle: PROFIT\n")
    plan = load_plan(suite, "paper")
    named = {name.removeprefix(PREFIX): Path(f) for name, f in plan.resources.folders.items()}
    assert {name: folder.name for name, folder in named.items()} == {
        name: folder for name, (folder, _) in ARCHIVE.items()
    }
    for name, (_, classes) in ARCHIVE.items():
        assert named[name].is_relative_to(tmp_path)
        lay_task(named[name], classes)
        ready = prepare(f"{PREFIX}{name}", SMALL, plan.resources)
        assert ready.classes == classes
        assert ready.test.targets.tolist() == [classes - 1, 0, 1]
        assert tuple(ready.test.inputs[1, 0, 0]) == colour(1, 1)
        assert np.bincount(ready.train.targets).max() == 2
    tasks = {cell.dataset: cell for cell in plan.unique().values()}
    assert {name.removeprefix(PREFIX) for name in tasks} == {*ARCHIVE, "cifar100"}


def test_cifar_100_is_read_as_the_hub_serves_it(tmp_path: Path) -> None:
    rows = {"train800": every_class(100, 100), "val200": [99, 0, 5], "test": [50, 99]}
    lay_dataset(tmp_path / "hub", "vtab-1k-cifar100", rows)
    ready = prepare("vtab-1k-cifar100", SMALL)
    assert ready.classes == 100
    assert ready.train.targets.tolist() == rows["train800"] + rows["val200"]
    assert tuple(ready.train.inputs[101, 0, 0]) == colour(1, 1)
    assert tuple(ready.test.inputs[1, 0, 0]) == colour(2, 1)
