"""A damaged cache is made again or refused; other numbers never come of it."""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from bench.data import integrity
from bench.data import prepare as door
from bench.data.digests import cached_digest
from bench.data.integrity import Damaged, intact_manifest, verify
from bench.data.prepare import Prepared, prepare
from bench.spec.cell import Resources
from bench.spec.recipe import Image

SMALL = Image(resize=6, size=6)


def save_images(root: Path) -> Resources:
    for s, split in enumerate(("train", "test")):
        for k, name in enumerate("ab"):
            (root / split / name).mkdir(parents=True)
            for i in range(3):
                colour = (k * 100, i * 10, s * 200)
                Pillow.new("RGB", (9, 9), colour).save(root / split / name / f"{i}.png")
    return Resources(folders={"shapes": str(root)})


def content(ready: Prepared) -> tuple[object, ...]:
    arrays = [a for s in (ready.train, ready.test) for a in (s.inputs, s.targets)]
    return (
        ready.modality, ready.classes, ready.class_names, ready.digest, dict(ready.facts),
        [(a.dtype, a.shape, np.asarray(a).tobytes()) for a in arrays],
    )  # fmt: skip


def flip(file: Path, place: int, mask: int) -> None:
    data = bytearray(file.read_bytes())
    data[place % len(data)] ^= mask
    file.write_bytes(data)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Path, Resources, tuple[object, ...]]:
    root = tmp_path_factory.mktemp("whole")
    resources = save_images(root / "images")
    return root / "cache", resources, content(prepare("shapes", SMALL, resources, root / "cache"))


@pytest.fixture
def cache(whole, tmp_path) -> Path:
    shutil.copytree(whole[0], tmp_path / "cache")
    return tmp_path / "cache"


def files_of(cache: Path) -> list[Path]:
    return sorted(p for p in cache.rglob("*") if p.is_file() and p.stat().st_size)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_whatever_byte_changes_the_numbers_do_not(whole, tmp_path_factory, data):
    original, resources, expected = whole
    cache = tmp_path_factory.mktemp("flipped") / "cache"
    shutil.copytree(original, cache)
    file = data.draw(st.sampled_from(files_of(cache)))
    flip(file, data.draw(st.integers(0, file.stat().st_size - 1)), data.draw(st.integers(1, 255)))
    digest = cached_digest("shapes", resources, cache)
    assert digest in (None, expected[3])
    assert content(prepare("shapes", SMALL, resources, cache)) == expected
    # Nor is any of it left.
    assert cached_digest("shapes", resources, cache) == expected[3]
    assert all(found.damaged is None for found in verify(cache))
    shutil.rmtree(cache.parent)


def test_inverted_pixels_are_made_again_and_said_once(whole, cache, caplog):
    _, resources, expected = whole
    file = next(cache.rglob("train.npy"))
    size = file.stat().st_size
    pixels = np.load(file, mmap_mode="r+")
    pixels[:] = 255 - pixels
    pixels.flush()
    del pixels
    assert file.stat().st_size == size
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert content(prepare("shapes", SMALL, resources, cache)) == expected
    said = [record.getMessage() for record in caplog.records]
    assert said == [f"{file}: is damaged; shapes is prepared again"]


def test_verify_names_the_damaged_file_of_each_set(whole, cache):
    _, resources, _ = whole
    prepare("shapes", Image(resize=7, size=7), resources, cache)
    good, other = verify(cache)
    assert (good.damaged, other.damaged, good.name) == (None, None, "shapes")
    flip(other.folder / "test-labels.npy", -1, 1)
    assert {one.folder: one.damaged for one in verify(cache)} == {
        good.folder: None, other.folder: other.folder / "test-labels.npy",
    }  # fmt: skip
    flip(good.folder / "manifest.json", 40, 1)
    flip(good.folder.parent / "source.json", 40, 1)
    damaged = {one.damaged.name for one in verify(cache) if one.damaged is not None}
    assert damaged == {"test-labels.npy", "manifest.json", "source.json"}


def test_verify_of_a_cache_that_is_not_there_is_empty(tmp_path):
    assert list(verify(tmp_path / "nowhere")) == []


class TestLargeFiles:
    """All files count as large."""

    @pytest.fixture
    def reads(self, monkeypatch) -> list[Path]:
        """Files as they are read whole."""
        found: list[Path] = []
        real = integrity.file_sha256
        monkeypatch.setattr(integrity, "LARGE", 0)
        monkeypatch.setattr(integrity, "file_sha256", lambda f: (found.append(f), real(f))[1])
        return found

    @pytest.fixture
    def paths(self, cache):
        return integrity.CachePaths(next(cache.rglob("manifest.json")).parent)

    @pytest.fixture
    def later(self, monkeypatch):
        """Pretend that the files were written a while ago."""
        now = integrity.time.time_ns
        monkeypatch.setattr(integrity.time, "time_ns", lambda: now() + 10**10)

    def test_they_are_read_once_for_all_processes(self, reads, paths, later):
        assert intact_manifest(paths) == intact_manifest(paths)
        assert len(reads) == 4
        assert intact_manifest(paths, whole=True) is not None
        assert len(reads) == 8

    def test_those_just_written_are_read_again(self, reads, paths):
        for _ in range(2):
            intact_manifest(paths)
        assert len(reads) == 8

    def test_one_edited_under_its_old_size_and_time_is_read(self, reads, paths, later):
        intact_manifest(paths)
        file = paths.inputs("train")
        before = file.stat()
        with open(file, "r+b") as opened:
            opened.seek(-1, os.SEEK_END)
            last = opened.read(1)[0]
            opened.seek(-1, os.SEEK_END)
            opened.write(bytes([last ^ 1]))
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        with pytest.raises(Damaged) as caught:
            intact_manifest(paths)
        assert caught.value.file == file

    def test_damage_to_what_was_remembered_is_no_trust(self, reads, paths, later):
        intact_manifest(paths)
        known = json.loads(paths.checked.read_text())
        known["train.npy"][0] += 1
        paths.checked.write_text(json.dumps(known))
        intact_manifest(paths)
        assert len(reads) == 8

    def test_a_cache_that_cannot_be_written_is_read_each_time(
        self, reads, paths, later, monkeypatch
    ):
        def refused(*_):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(integrity, "write_json", refused)
        for _ in range(2):
            assert intact_manifest(paths) is not None
        assert len(reads) == 8


def test_other_code_makes_its_own_files(whole, cache, monkeypatch):
    _, resources, expected = whole
    monkeypatch.setattr(door, "code_digests", lambda units: {unit.name: "0" for unit in units})
    monkeypatch.setattr("bench.data.sources.folder.decode_file", lambda *_: np.uint8(9))
    other = prepare("shapes", SMALL, resources, cache)
    assert (np.asarray(other.train.inputs) == 9).all()
    monkeypatch.undo()
    assert content(prepare("shapes", SMALL, resources, cache)) == expected


@pytest.mark.parametrize(
    ("name", "edited", "counts"),
    [
        ("shapes", "decode.py", True),
        ("shapes", "build.py", True),
        ("shapes", "sources/folder.py", True),
        ("shapes", "procedural/fractals.py", False),
        ("fractals", "procedural/fractals.py", True),
        ("fractals", "procedural/canvas.py", True),
        ("fractals", "procedural/glyphs.py", False),
        ("digits", "sources/digits.py", True),
        ("digits", "augment.py", False),
    ],
)
def test_the_code_that_counts_is_what_makes_the_files(name, edited, counts, monkeypatch):
    from bench.records import code

    def digest() -> str:
        code._digest.cache_clear()
        return door._code(name, Resources(folders={"shapes": "here"}))

    before = digest()
    real = code._read
    place = Path(door.__file__).parent / edited

    def read(file: Path):
        text, imports = real(file)
        return (f"{text} edited" if file == place else text), imports

    monkeypatch.setattr(code, "_read", read)
    changed = digest() != before
    monkeypatch.undo()
    code._digest.cache_clear()
    assert changed == counts


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "..", ".", "a/b", "", "a" * 300, "a\0b"])
def test_no_name_leads_out_of_the_cache(name, tmp_path):
    images = save_images(tmp_path / "images")
    cache = tmp_path / "deep" / "down" / "cache"
    resources = Resources(folders={name: images.folders["shapes"]})
    assert len(prepare(name, SMALL, resources, cache).train) == 6
    written = {path for path in tmp_path.rglob("*.npy") if cache not in path.parents}
    assert written == set()
    (found,) = cache.rglob("manifest.json")
    assert found.relative_to(cache).parts[:2] == ("data", "other")


def test_two_names_that_are_no_folders_are_two_sets(tmp_path):
    names = ("a/b", "a/c")
    for name in names:
        save_images(tmp_path / name.replace("/", "-"))
    Pillow.new("RGB", (9, 9), (1, 2, 3)).save(tmp_path / "a-b" / "train" / "a" / "0.png")
    folders = {name: str(tmp_path / name.replace("/", "-")) for name in names}
    digests = {
        prepare(name, SMALL, Resources(folders=folders), tmp_path / "cache").digest
        for name in names
    }
    assert len(digests) == 2


def test_data_that_change_while_they_are_read_are_refused(tmp_path, monkeypatch):
    from bench.data import build as building
    from bench.errors import DataError

    resources = save_images(tmp_path / "images")
    real = building._decode

    def meanwhile(*args):
        file = tmp_path / "images" / "train" / "a" / "0.png"
        file.write_bytes(file.read_bytes() + b"more")
        return real(*args)

    monkeypatch.setattr(building, "_decode", meanwhile)
    with pytest.raises(DataError, match="changed while it was read"):
        prepare("shapes", SMALL, resources, tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("manifest.json"))
