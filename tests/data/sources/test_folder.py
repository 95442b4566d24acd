"""A user's image folder: its layout, its order, and every way it can be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image as Pillow

from bench.data.digests import cached_digest
from bench.data.prepare import prepare
from bench.errors import DataError
from bench.spec.cell import Resources
from bench.spec.recipe import Image

SMALL = Image(resize=6, size=6)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RETABLE_CACHE", str(tmp_path / "cache"))


def save(folder: Path, name: str, red: int, size: tuple[int, int] = (6, 6)) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    Pillow.new("RGB", size, (red, 0, 0)).save(folder / name)
    return folder / name


@pytest.fixture
def birds(tmp_path) -> Path:
    root = tmp_path / "birds"
    for split, base in (("train", 10), ("test", 100)):
        for k, name in enumerate(["wren", "crow"]):
            save(root / split / name, "b.png", base + 10 * k + 1)
            save(root / split / name, "a.png", base + 10 * k)
    return root


def opened(root: Path, name: str = "birds"):
    return prepare(name, SMALL, Resources(folders={name: str(root)}))


def test_classes_and_files_come_in_sorted_order(birds):
    ready = opened(birds)
    assert ready.class_names == ("crow", "wren")
    assert ready.train.targets.tolist() == [0, 0, 1, 1]
    assert ready.train.inputs[:, 0, 0, 0].tolist() == [20, 21, 10, 11]
    assert ready.test.inputs[:, 0, 0, 0].tolist() == [110, 111, 100, 101]


def test_litter_is_passed_over(birds):
    (birds / "train" / ".DS_Store").write_bytes(b"x")
    (birds / "train" / "wren" / "Thumbs.db").write_bytes(b"x")
    assert len(opened(birds).train) == 4


def test_a_changed_folder_is_read_again(birds):
    before = opened(birds)
    resources = Resources(folders={"birds": str(birds)})
    assert cached_digest("birds", resources) == before.digest
    save(birds / "train" / "wren", "a.png", 99)
    assert cached_digest("birds", resources) is None
    after = opened(birds)
    assert after.train.inputs[2, 0, 0, 0] == 99
    assert after.digest != before.digest
    assert cached_digest("birds", resources) == after.digest


def test_a_renamed_class_and_a_new_file_are_noticed(birds):
    opened(birds)
    save(birds / "test" / "crow", "c.png", 7)
    assert len(opened(birds).test) == 5
    for split in ("train", "test"):
        (birds / split / "crow").rename(birds / split / "rook")
    assert opened(birds).class_names == ("rook", "wren")


def test_the_digest_does_not_depend_on_where_the_folder_is(birds, tmp_path):
    here = opened(birds).digest
    moved = birds.rename(tmp_path / "elsewhere")
    assert opened(moved).digest == here


def test_a_folder_under_a_catalogue_name_must_have_its_classes(birds):
    with pytest.raises(DataError, match="mit-indoor-67 has 2 classes, not 67"):
        opened(birds, "mit-indoor-67")


def test_a_folder_goes_before_a_set_made_here(birds):
    resources = Resources(folders={"digits": str(birds)})
    ready = prepare("digits", SMALL, resources)
    assert ready.classes == 2
    assert cached_digest("digits", resources) == ready.digest


def error(root: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        opened(root)
    return caught.value


def test_a_missing_folder(tmp_path):
    found = error(tmp_path / "nowhere")
    assert "cannot be read" in found.message
    assert "datasets:" in found.remedy


def test_a_flat_folder_is_refused_and_the_layout_told(tmp_path):
    save(tmp_path / "flat" / "wren", "a.png", 1)
    found = error(tmp_path / "flat")
    assert "has no folder train and no folder test" in found.message
    assert "train/CLASS/*" in found.remedy


def test_a_corrupt_image_is_named(birds):
    path = birds / "train" / "crow" / "a.png"
    path.write_bytes(path.read_bytes()[:50])
    assert f"{path} cannot be decoded" in error(birds).message


def test_a_truncated_jpeg_is_not_half_decoded(birds):
    path = save(birds / "train" / "crow", "z.jpg", 5, (64, 64))
    path.write_bytes(path.read_bytes()[:-200])
    assert "z.jpg cannot be decoded" in error(birds).message


def test_corrupt_images_are_all_named(birds):
    broken = [birds / "test" / "wren" / f"x{i}.png" for i in range(3)]
    broken.insert(0, birds / "train" / "crow" / "x.png")
    for path in broken:
        path.write_bytes(b"no image")
    lines = error(birds).message.splitlines()
    assert lines[0] == "4 images of birds cannot be decoded:"
    assert [line.split(" cannot")[0].strip() for line in lines[1:]] == list(map(str, broken))


def test_of_very_many_corrupt_images_some_are_named(birds):
    for i in range(600):
        (birds / "train" / "crow" / f"x{i:03}.png").write_bytes(b"no image")
    lines = error(birds).message.splitlines()
    assert lines[0].startswith("600 images")
    assert lines[-1].strip() == "and 580 more"
    assert len(lines) == 22


@pytest.mark.parametrize("target", ["loop", ".", "..", "../.."])
@pytest.mark.parametrize("where", ["", "train", "train/crow"])
def test_links_in_a_circle_are_said_or_passed_over(birds, where, target):
    link = birds / where / "loop"
    link.symlink_to(target)
    if where == "":
        # Beside the two splits nothing is read.
        assert len(opened(birds).train) == len(list(birds.glob("train/*/*.png")))
        return
    found = error(birds)
    assert "loop" in str(found)
    assert found.remedy is not None


def test_a_folder_among_the_images_is_said(birds):
    (birds / "train" / "crow" / "more").mkdir()
    found = error(birds)
    assert found.message.startswith("is a folder, not an image file")


def test_a_file_that_is_no_image(birds):
    (birds / "test" / "crow" / "notes.txt").write_text("hello")
    found = error(birds)
    assert found.file.endswith("notes.txt")
    assert "is not an image file" in found.message


def test_a_file_beside_the_classes(birds):
    save(birds / "train", "loose.png", 1)
    found = error(birds)
    assert found.file.endswith("loose.png")


def test_an_empty_class(birds):
    for split in ("train", "test"):
        (birds / split / "jay").mkdir()
    assert error(birds).message == "a class without images"


def test_a_class_that_only_one_split_has(birds):
    save(birds / "train" / "jay", "a.png", 1)
    assert "different classes: jay" in error(birds).message


def test_an_empty_split(birds, tmp_path):
    root = tmp_path / "empty"
    (root / "train").mkdir(parents=True)
    (root / "test").mkdir()
    assert "holds no class folder" in error(root).message
