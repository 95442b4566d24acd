"""The cache: built once, opened fast, rebuilt when it is not whole."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from bench.data import build as building
from bench.data import prepare as door
from bench.data.cache import cache_root, write_json
from bench.data.digests import cached_digest
from bench.data.integrity import verify
from bench.data.prepare import prepare
from bench.errors import DataError, SpecError
from bench.spec import catalogue
from bench.spec.cell import Resources
from bench.spec.recipe import Image

SMALL = Image(resize=6, size=6)


@pytest.fixture
def shapes(tmp_path) -> Resources:
    for split in ("train", "test"):
        for k, name in enumerate("ab"):
            folder = tmp_path / "shapes" / split / name
            folder.mkdir(parents=True)
            for i in range(3):
                colour = (k * 100, i * 10, 200 * (split == "test"))
                Pillow.new("RGB", (9, 9), colour).save(folder / f"{i}.png")
    return Resources(folders={"shapes": str(tmp_path / "shapes")})


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def builds(monkeypatch) -> list[int]:
    """Count the times that a source is decoded."""
    counted: list[int] = []
    real = door.build
    monkeypatch.setattr(door, "build", lambda *a: (counted.append(1), real(*a))[1])
    return counted


def test_it_is_built_once_for_a_size(shapes, cache, builds):
    first, second = (prepare("shapes", SMALL, shapes, cache) for _ in range(2))
    assert len(builds) == 1
    assert first.digest == second.digest
    prepare("shapes", Image(resize=6, size=4, normalise="half"), shapes, cache)
    assert len(builds) == 1
    prepare("shapes", Image(resize=7, size=6), shapes, cache)
    prepare("shapes", Image(resize=6, size=6, fit="crop"), shapes, cache)
    assert len(builds) == 3


def test_images_are_a_read_only_memory_map(shapes, cache):
    ready = prepare("shapes", SMALL, shapes, cache)
    assert isinstance(ready.train.inputs, np.memmap)
    assert not ready.train.inputs.flags.writeable
    assert ready.train.inputs.dtype == np.uint8
    assert ready.train.targets.dtype == np.int64


def test_another_image_library_decodes_again(shapes, cache, builds, monkeypatch):
    prepare("shapes", SMALL, shapes, cache)
    monkeypatch.setattr(door, "decoder_versions", lambda: {"pillow": "0.0"})
    prepare("shapes", SMALL, shapes, cache)
    assert len(builds) == 2


def folder_of(cache: Path) -> Path:
    return next(cache.glob("data/shapes/*/*/manifest.json")).parent


@pytest.mark.parametrize(
    "damage",
    [
        lambda f: (f / "manifest.json").unlink(),
        lambda f: (f / "manifest.json").write_text('{"digest": "x"'),
        lambda f: (f / "manifest.json").write_text("{}"),
        lambda f: (f / "train.npy").unlink(),
        lambda f: (f / "train.npy").write_bytes((f / "train.npy").read_bytes()[:-1]),
        lambda f: (f / "test-labels.npy").write_bytes(b""),
    ],
    ids=["no-manifest", "half-manifest", "empty-manifest", "no-images", "short", "empty-labels"],
)
def test_a_cache_that_is_not_whole_is_built_again(shapes, cache, builds, damage):
    before = prepare("shapes", SMALL, shapes, cache)
    kept = np.array(before.train.inputs)
    del before
    damage(folder_of(cache))
    after = prepare("shapes", SMALL, shapes, cache)
    assert len(builds) == 2
    assert np.array_equal(after.train.inputs, kept)


def test_a_build_that_fails_leaves_nothing_that_counts(shapes, cache, monkeypatch):
    real = building.write_json
    monkeypatch.setattr(building, "write_json", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        prepare("shapes", SMALL, shapes, cache)
    assert not list(cache.glob("data/shapes/*/*/manifest.json"))
    monkeypatch.setattr(building, "write_json", real)
    assert len(prepare("shapes", SMALL, shapes, cache).train) == 6
    assert not list(cache.rglob(".*"))


def test_images_need_a_size(shapes, cache):
    with pytest.raises(DataError, match="no size"):
        prepare("shapes", None, shapes, cache)


def test_two_builders_of_one_set_truncate_nothing_of_each_other(shapes, cache, monkeypatch):
    # Where the disk's locks do not hold, a second builder begins while the first one writes.
    parts = []
    real = building._decode

    def meanwhile(blobs, decode, pixels, content):
        parts.append(pixels.filename)
        if len(parts) == 1:
            prepare("shapes", SMALL, shapes, cache)
        return real(blobs, decode, pixels, content)

    monkeypatch.setattr(building, "_decode", meanwhile)
    monkeypatch.setattr(door, "FileLock", lambda _: contextlib.nullcontext())
    ready = prepare("shapes", SMALL, shapes, cache)
    assert len(set(parts)) == 4
    assert ready.train.inputs[:, 0, 0, 0].tolist() == [0, 0, 0, 100, 100, 100]
    assert not list(cache.rglob(".*.part"))


def test_two_processes_build_it_once(shapes, cache, tmp_path):
    script = f"""
import time, sys
from pathlib import Path
from bench.data import build as building
from bench.data import prepare as door
from bench.spec.cell import Resources
from bench.spec.recipe import Image
real = door.build
def slow(*a):
    with open({str(tmp_path / "builds")!r}, "a") as f: f.write("x")
    time.sleep(0.5)
    return real(*a)
door.build = slow
Path(sys.argv[1]).touch()
while len(list(Path({str(tmp_path)!r}).glob("ready-*"))) < 2: time.sleep(0.005)
r = door.prepare("shapes", Image(resize=6, size=6), Resources(folders={dict(shapes.folders)!r}),
                 Path({str(cache)!r}))
print(r.digest, int(r.train.inputs.sum()))
"""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / f"ready-{k}")], stdout=subprocess.PIPE
        )
        for k in range(2)
    ]
    said = [process.communicate(timeout=60)[0] for process in running]
    assert said[0] == said[1] != b""
    assert (tmp_path / "builds").read_text() == "x"


def test_opening_takes_milliseconds_and_no_framework(cache):
    prepare("digits", Image(resize=8, size=8), cache=cache)
    script = f"""
import sys, time
from pathlib import Path
from bench.data.integrity import verify
from bench.data.prepare import prepare
from bench.spec.recipe import Image
image, cache = Image(resize=8, size=8), Path({str(cache)!r})
prepare("digits", image, cache=cache)
start = time.perf_counter()
prepare("digits", image, cache=cache)
print(time.perf_counter() - start)
print(sorted({{"torch", "datasets", "sklearn", "pandas"}} & set(sys.modules)))
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    seconds, loaded = run.stdout.split("\n")[:2]
    assert loaded == "[]"
    assert float(seconds) < 0.05


def test_digests_are_known_without_torch(cache):
    script = """
import sys
from bench.data.digests import cached_digest
from bench.spec.cell import Resources
print(cached_digest("glyphs", Resources()), "torch" in sys.modules, "datasets" in sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.stdout.split() == [catalogue.entry("glyphs").digest, "False", "False"]


def test_a_digest_is_unknown_before_the_data_is_there(shapes, cache):
    assert cached_digest("shapes", shapes, cache) is None
    assert cached_digest("cifar-100", Resources(), cache) is None
    assert cached_digest("no-such-set", Resources(), cache) is None
    ready = prepare("shapes", SMALL, shapes, cache)
    assert cached_digest("shapes", shapes, cache) == ready.digest


def test_a_pinned_set_that_comes_out_otherwise_is_refused(cache, monkeypatch):
    from bench.data import identity

    known = catalogue.entry("digits").model_copy(update={"digest": "0" * 64})
    monkeypatch.setattr(identity, "entry", lambda name: known)
    with pytest.raises(DataError, match="not as the pinned 000000000000"):
        prepare("digits", Image(resize=8, size=8), cache=cache)


def test_data_that_changed_under_one_revision_is_refused(shapes, cache):
    prepare("shapes", SMALL, shapes, cache)
    source = next(cache.glob("data/shapes/*/source.json"))
    write_json(source, {"digest": "another", "warnings": []})
    with pytest.raises(DataError, match="prepared before") as caught:
        prepare("shapes", Image(resize=7, size=7), shapes, cache)
    assert "delete that folder" in caught.value.remedy


def test_too_little_disk_is_said_before_decoding(shapes, cache, monkeypatch):
    usage = type("Usage", (), {"free": 100})
    monkeypatch.setattr(building.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DataError, match=r"the decoded images need 0\.0 GB") as caught:
        prepare("shapes", SMALL, shapes, cache)
    assert "RETABLE_CACHE" in caught.value.remedy


def test_a_cache_that_cannot_be_written_is_said(shapes, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot be written") as caught:
        prepare("shapes", SMALL, shapes, tmp_path / "file")
    assert "RETABLE_CACHE" in caught.value.remedy


@pytest.mark.parametrize("name", ["mit-indoor-67"])
def test_what_cannot_be_loaded_says_why(name, cache):
    with pytest.raises(DataError) as caught:
        prepare(name, SMALL, cache=cache)
    assert catalogue.entry(name).reason in str(caught.value)


def test_an_unknown_name_gets_the_nearest_one(cache):
    with pytest.raises(SpecError, match="did you mean 'glyphs'"):
        prepare("glyhps", SMALL, cache=cache)


def test_the_cache_is_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("RETABLE_CACHE", str(tmp_path))
    assert cache_root() == tmp_path
    monkeypatch.delenv("RETABLE_CACHE")
    assert cache_root() == Path.home() / ".cache" / "retable"


def test_procedural_pixels_do_not_depend_on_the_image_library(cache, monkeypatch):
    image = Image(resize=64, size=64)
    start = time.process_time()
    first = prepare("glyphs", image, cache=cache)
    assert first.digest == catalogue.entry("glyphs").digest
    built = time.process_time() - start
    assert built < 30
    monkeypatch.setattr(door, "decoder_versions", lambda: {"pillow": "0.0"})
    monkeypatch.setattr(door, "build", lambda *_: pytest.fail("built again"))
    assert prepare("glyphs", image, cache=cache).digest == first.digest


def test_two_builders_that_no_lock_keeps_apart_leave_whole_files(shapes, cache, monkeypatch):
    expected = prepare("shapes", SMALL, shapes, cache.with_name("other"))
    # As where a lock holds on one computer alone: both write at once.
    monkeypatch.setattr(door, "FileLock", lambda path: contextlib.nullcontext())
    both = threading.Barrier(2, timeout=60)
    real, decoded = building._decode, []

    def decode(*args):
        both.wait()
        faults = real(*args)
        decoded.append(1)
        both.wait()
        return faults

    monkeypatch.setattr(building, "_decode", decode)
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(prepare, "shapes", SMALL, shapes, cache) for _ in range(2)]
        found = [job.result() for job in jobs]
    assert len(decoded) == 4
    for ready in found:
        assert ready.digest == expected.digest
        for split in ("train", "test"):
            ours, theirs = getattr(ready, split), getattr(expected, split)
            assert np.array_equal(ours.inputs, theirs.inputs)
            assert np.array_equal(ours.targets, theirs.targets)
    assert all(checked.damaged is None for checked in verify(cache))
    assert not [path for path in cache.rglob("*") if path.name.endswith(".part")]


@pytest.mark.parametrize("name", ["train.npy", "test-labels.npy"])
def test_what_is_not_what_was_written_is_not_believed(name, shapes, cache, monkeypatch):
    real = building.described

    def described(files):
        for file in files:
            if file.name == name:
                content = bytearray(file.read_bytes())
                content[-1] ^= 1
                file.write_bytes(bytes(content))
        return real(files)

    monkeypatch.setattr(building, "described", described)
    with pytest.raises(DataError, match=f"{name}: is not what was written to it"):
        prepare("shapes", SMALL, shapes, cache)
    monkeypatch.setattr(building, "described", real)
    prepare("shapes", SMALL, shapes, cache)
