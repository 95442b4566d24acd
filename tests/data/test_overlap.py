"""Images that are both trained and tested on are said, by name."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest
from PIL import Image as Pillow

from bench.data.digests import known_warnings
from bench.data.folder_digest import dataset_digest
from bench.data.prepare import prepare
from bench.spec.cell import Resources
from bench.spec.recipe import Image

SMALL = Image(resize=6, size=6)


@pytest.fixture
def images(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("RETABLE_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "images"
    for s, split in enumerate(("train", "test")):
        for k, name in enumerate(("ant", "bee")):
            (root / split / name).mkdir(parents=True)
            for i in range(2):
                Pillow.new("RGB", (9, 9), (i, k, s)).save(root / split / name / f"{i}.png")
    return root


@pytest.fixture
def mine(images) -> Resources:
    return Resources(folders={"mine": str(images)})


def test_sets_without_such_images_say_nothing(mine, caplog):
    ready = prepare("mine", SMALL, mine)
    assert known_warnings("mine", mine) == ()
    assert "test_images_in_train" not in ready.facts
    assert not caplog.records


def test_they_are_named_once_when_the_set_is_prepared(images, mine, caplog):
    shutil.copy(images / "train/ant/0.png", images / "test/bee/9.png")
    shutil.copy(images / "train/bee/1.png", images / "test/bee/8.png")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            ready = prepare("mine", SMALL, mine)
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.splitlines() == [
        "2 test images of mine are in its training split too:",
        f"  {images}/test/bee/8.png is {images}/train/bee/1.png",
        f"  {images}/test/bee/9.png is {images}/train/ant/0.png",
    ]
    assert known_warnings("mine", mine) == (said,)
    assert ready.facts["test_images_in_train"] == 2
    manifest = next(images.parent.glob("cache/data/mine/*/*/manifest.json"))
    assert json.loads(manifest.read_text())["warnings"] == [said]


def test_they_are_known_before_anything_is_decoded(images, mine):
    shutil.copy(images / "train/ant/0.png", images / "test/ant/9.png")
    assert dataset_digest("mine", mine) is not None
    (said,) = known_warnings("mine", mine)
    assert said.startswith("1 test image of mine is in its training split too:")
    assert not list(images.parent.rglob("*.npy"))


def test_many_are_counted(images, mine):
    for i in range(30):
        shutil.copy(images / "train/ant/0.png", images / f"test/ant/copy-{i:02}.png")
    prepare("mine", SMALL, mine)
    (said,) = known_warnings("mine", mine)
    assert said.startswith("30 test images")
    assert said.splitlines()[-1] == "  and 10 more"
    assert len(said.splitlines()) == 22
