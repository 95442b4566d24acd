from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image as Pillow

from bench.data import folder_digest
from bench.data.folder_digest import dataset_digest
from bench.data.prepare import prepare
from bench.spec.cell import Resources
from bench.spec.recipe import Image


@pytest.fixture
def images(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("RETABLE_CACHE", str(tmp_path / "cache"))
    for split in ("train", "test"):
        for label, name in enumerate(["ant", "bee"]):
            folder = tmp_path / "images" / split / name
            folder.mkdir(parents=True)
            for i in range(3):
                Pillow.new("RGB", (9, 9), (80 * i, 200 * label, 7)).save(folder / f"{i}.png")
    return tmp_path / "images"


def test_it_is_the_digest_that_loading_finds(images):
    resources = Resources(folders={"mine": str(images)})
    before = dataset_digest("mine", resources)
    assert before == prepare("mine", Image(resize=8, size=8), resources).digest
    assert dataset_digest("mine", resources) == before


def test_a_changed_image_changes_it_without_loading(images):
    resources = Resources(folders={"mine": str(images)})
    before = prepare("mine", Image(resize=8, size=8), resources).digest
    Pillow.new("RGB", (9, 9), (1, 2, 3)).save(images / "train" / "ant" / "0.png")
    after = dataset_digest("mine", resources)
    assert after != before
    assert after == prepare("mine", Image(resize=8, size=8), resources).digest


def test_an_image_edited_under_its_old_size_and_time_is_another(images):
    resources = Resources(folders={"mine": str(images)})
    file = images / "train" / "ant" / "0.png"
    # Bitmaps of one size are files of one size.
    bitmap = file.with_suffix(".bmp")
    file.unlink()
    Pillow.new("RGB", (9, 9), (1, 2, 3)).save(bitmap)
    old = bitmap.stat()
    first = prepare("mine", Image(resize=9, size=9), resources)
    Pillow.new("RGB", (9, 9), (3, 2, 1)).save(bitmap)
    os.utime(bitmap, ns=(old.st_atime_ns, old.st_mtime_ns))
    assert (bitmap.stat().st_size, bitmap.stat().st_mtime_ns) == (old.st_size, old.st_mtime_ns)
    assert dataset_digest("mine", resources) != first.digest
    second = prepare("mine", Image(resize=9, size=9), resources)
    assert second.digest == dataset_digest("mine", resources)
    assert second.train.inputs[0, 0, 0].tolist() == [3, 2, 1]


def test_files_that_did_not_change_are_read_once(images, monkeypatch):
    resources = Resources(folders={"mine": str(images)})
    before = dataset_digest("mine", resources)
    monkeypatch.setattr(folder_digest, "_of_folder", lambda *_: pytest.fail("read again"))
    assert dataset_digest("mine", resources) == before


def test_a_folder_that_is_not_here_is_unknown_and_no_error(tmp_path):
    resources = Resources(folders={"mine": str(tmp_path / "nowhere")})
    assert dataset_digest("mine", resources) is None


def test_sets_made_here_are_known_by_their_pin():
    from bench.spec.catalogue import entry

    assert dataset_digest("glyphs", Resources()) == entry("glyphs").digest
