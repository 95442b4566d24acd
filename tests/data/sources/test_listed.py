"""Images split by lists of files, as in VTAB-1k's archive, and every way a list can be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.data.digests import cached_digest
from bench.data.folder_digest import dataset_digest
from bench.data.prepare import prepare
from bench.errors import DataError
from bench.records.code import units_of
from bench.spec.cell import Resources
from bench.spec.plan import load_plan
from bench.spec.recipe import Image
from tests.e2e.stand_ins import encoded

SMALL = Image(resize=4, size=4)
TRAIN, TEST = "train800val200.txt", "test.txt"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETABLE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Return a task's folder: images of red 0, 1, … and their lists, not in the files' order."""
    folder = tmp_path / "dtd"
    rows = {
        TRAIN: [("images/train/b.png", 2), ("images/train/a.png", 0), ("images/val/a b.png", 2)],
        TEST: [("images/test/a.png", 1), ("images/test/b.png", 0)],
    }
    red = 0
    for name, images in rows.items():
        for path, _ in images:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(encoded((red, 0, 0)))
            red += 10
        (folder / name).write_text("".join(f"{path} {label}\n" for path, label in images))
    return folder


def resources(folder: Path, train: str = TRAIN) -> Resources:
    return Resources(folders={"mine": str(folder)}, lists={"mine": (train, TEST)})


def test_rows_are_those_of_the_lists_in_their_order(archive: Path) -> None:
    ready = prepare("mine", SMALL, resources(archive))
    assert ready.train.targets.tolist() == [2, 0, 2]
    assert ready.train.inputs[:, 1, 1, 0].tolist() == [0, 10, 20]
    assert ready.test.targets.tolist() == [1, 0]
    assert ready.test.inputs[:, 1, 1, 0].tolist() == [30, 40]
    # Class 1 has no training image; the test list knows it.
    assert ready.class_names == ("0", "1", "2")
    assert ready.facts["train_list"] == TRAIN


def test_other_lists_of_the_same_images_are_other_data(archive: Path) -> None:
    whole = prepare("mine", SMALL, resources(archive))
    (archive / "train800.txt").write_text("images/train/a.png 0\nimages/train/b.png 2\n")
    part = prepare("mine", SMALL, resources(archive, "train800.txt"))
    assert part.train.inputs[:, 1, 1, 0].tolist() == [10, 0]
    assert part.digest != whole.digest


def test_a_changed_image_and_a_changed_list_are_noticed(archive: Path) -> None:
    known = resources(archive)
    first = prepare("mine", SMALL, known)
    assert cached_digest("mine", known) == first.digest == dataset_digest("mine", known)
    (archive / "images/val/a b.png").write_bytes(encoded((99, 0, 0)))
    assert cached_digest("mine", known) is None
    second = prepare("mine", SMALL, known)
    assert second.train.inputs[2, 1, 1, 0] == 99
    (archive / TEST).write_text("images/test/a.png 1\n")
    third = prepare("mine", SMALL, known)
    assert len(third.test) == 1
    assert len({first.digest, second.digest, third.digest}) == 3
    assert dataset_digest("mine", known) == third.digest


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("images/train/a.png\n", "line 1 names no path within the folder"),
        ("images/train/a.png 0\nimages/train/b.png two\n", "line 2 ends in no class number"),
        ("images/train/a.png -1\n", "line 1 ends in no class number"),
        ("../outside.png 0\n", "line 1 names no path within the folder"),
        ("/etc/outside.png 0\n", "line 1 names no path within the folder"),
        ("\n\n", "a list without images"),
        ("images/train/none.png 0\n", "cannot be read"),
        ("images/test/a.png 1\n", "1 images are in train800val200.txt and in test.txt too"),
    ],
)
def test_a_list_that_is_wrong_is_said(archive: Path, content: str, problem: str) -> None:
    (archive / TRAIN).write_text(content)
    with pytest.raises(DataError, match=problem):
        prepare("mine", SMALL, resources(archive))


def test_a_list_that_is_not_there_is_said(archive: Path) -> None:
    with pytest.raises(DataError, match="the list cannot be read") as caught:
        prepare("mine", SMALL, resources(archive, "train.txt"))
    assert str(caught.value.file).endswith("dtd/train.txt")


SUITE = """
title: Lists
datasets:
  vtab-1k-dtd: {folder: dtd, %s}
axes:
  backbone: test_resnet
  weights: random
  dataset: vtab-1k-dtd
  sampling_rate: 1.0
  method: m
  seed: 1
methods: {m: {}}
table: {rows: [dataset], columns: method}
profiles: {offline: {}, smoke: {}}
"""


def plan(folder: Path, lists: str):
    (folder / "paper.yaml").write_text("id: mine\ntitle: Mine\n")
    (folder / "suite.yaml").write_text(SUITE % lists)
    return load_plan(folder / "suite.yaml", "offline")


def test_a_suite_names_the_lists_of_a_set_that_the_catalogue_knows(
    archive: Path, tmp_path: Path
) -> None:
    made = plan(tmp_path, f"train: {TRAIN}, test: {TEST}")
    assert made.resources.folders == {"vtab-1k-dtd": str(archive)}
    assert made.resources.lists == {"vtab-1k-dtd": (TRAIN, TEST)}
    (cell,) = made.unique().values()
    assert "data:listed" in {unit.name for unit in units_of(cell, made.resources)}
    with pytest.raises(DataError, match="vtab-1k-dtd has 3 classes, not 47"):
        prepare("vtab-1k-dtd", SMALL, made.resources)


def test_one_list_alone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="give both, or neither"):
        plan(tmp_path, f"train: {TRAIN}")
