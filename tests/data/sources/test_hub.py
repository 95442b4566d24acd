"""The Hub's road, driven with `load_dataset` on Parquet repositories laid out locally."""

from __future__ import annotations

import io
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image as Pillow

from bench.data import identity
from bench.data import prepare as door
from bench.data.digests import cached_digest
from bench.data.prepare import prepare
from bench.data.sources import hub
from bench.errors import DataError
from bench.spec import catalogue
from bench.spec.catalogue import DatasetEntry
from bench.spec.cell import Resources
from bench.spec.recipe import Image

SMALL = Image(resize=8, size=8)
NAMES = ["ant", "bee", "cat"]
PIN, OTHER = "a" * 40, "b" * 40


def png(value: int) -> bytes:
    buffer = io.BytesIO()
    Pillow.new("RGB", (8, 8), (value, 0, 255 - value)).save(buffer, "PNG")
    return buffer.getvalue()


def table(labels: list[int], start: int, **extra: list) -> datasets.Dataset:
    images = [{"bytes": png(start + i), "path": None} for i in range(len(labels))]
    rows = {"image": images, "label": labels, **extra}
    kinds = {k: datasets.Value("int64") for k in extra}
    return datasets.Dataset.from_dict(
        rows,
        features=datasets.Features(
            {"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES), **kinds}
        ),
    )


def repository(folder: Path, **splits: datasets.Dataset) -> Path:
    (folder / "data").mkdir(parents=True)
    for name, rows in splits.items():
        rows.to_parquet(folder / "data" / f"{name}-00000-of-00001.parquet")
    return folder


@pytest.fixture(autouse=True)
def quiet_home(tmp_path, monkeypatch):
    """No network; caches of `datasets` and of the Hub in the test's own folder."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf-datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf-hub"))
    monkeypatch.setenv("RETABLE_CACHE", str(tmp_path / "retable"))
    datasets.disable_progress_bars()


@pytest.fixture
def described(monkeypatch):
    """Put an entry in the catalogue's place."""

    def describe(**fields) -> DatasetEntry:
        entry = DatasetEntry.model_validate(
            {
                "name": "toy",
                "kind": "hub",
                "title": "Toy",
                "classes": 3,
                "notes": "a test",
                **fields,
            }
        )
        for module in (identity, catalogue):
            monkeypatch.setattr(module, "entry", lambda name: entry)
        return entry

    return describe


@pytest.fixture
def toy(tmp_path) -> Path:
    return repository(tmp_path / "toy", train=table([0, 1, 2, 1], 10), test=table([2, 0, 1], 50))


def test_rows_labels_and_pixels_come_out_as_stored(toy, described):
    described(hub=str(toy), rows={"train": 4, "test": 3})
    ready = prepare("toy", SMALL)
    assert ready.class_names == tuple(NAMES)
    assert ready.train.targets.tolist() == [0, 1, 2, 1]
    assert ready.test.targets.tolist() == [2, 0, 1]
    assert ready.train.inputs[:, 0, 0, 0].tolist() == [10, 11, 12, 13]
    assert ready.test.inputs[2, 7, 7].tolist() == [52, 0, 203]


def test_the_digest_is_that_of_the_stored_bytes(toy, described):
    import hashlib

    described(hub=str(toy))
    expected = hashlib.sha256(b"retable-rows-1")
    for split, labels, start in (("train", [0, 1, 2, 1], 10), ("test", [2, 0, 1], 50)):
        expected.update(b"\x1f" + split.encode() + b"\x1f")
        for i, label in enumerate(labels):
            data = png(start + i)
            expected.update(label.to_bytes(8, "little") + len(data).to_bytes(8, "little") + data)
    assert prepare("toy", SMALL).digest == expected.hexdigest()
    assert prepare("toy", Image(resize=5, size=5)).digest == expected.hexdigest()


def test_the_second_opening_reads_no_source(toy, described, monkeypatch):
    described(hub=str(toy))
    first = prepare("toy", SMALL)
    monkeypatch.setattr(door, "_source", lambda *_: pytest.fail("the source was read again"))
    assert prepare("toy", SMALL).digest == first.digest == cached_digest("toy", Resources())


def test_splits_are_concatenated_in_the_order_given(tmp_path, described):
    folder = repository(
        tmp_path / "three",
        train=table([0, 1, 2], 10),
        validation=table([1], 90),
        test=table([0], 50),
    )
    described(hub=str(folder), splits={"train": ["validation", "train"], "test": ["test"]})
    assert prepare("toy", SMALL).train.inputs[:, 0, 0, 0].tolist() == [90, 10, 11, 12]


@pytest.mark.parametrize("most", [2, 3, 9])
def test_at_most_so_many_rows_of_each_split_are_drawn_as_released_code_draws(toy, described, most):
    source = hub.hub_source(described(hub=str(toy), draw={"rows": most, "seed": 2020}))
    for split, labels, start in ((source.train, [0, 1, 2, 1], 10), (source.test, [2, 0, 1], 50)):
        # domain_net.py of Neyshabur et al. 2020; where there are no more rows it draws none.
        drawn = range(len(labels))
        if most < len(labels):
            generator = np.random.RandomState(seed=2020)
            drawn = sorted(generator.choice(len(labels), size=most, replace=False))
        assert [blob.data for blob in split.blobs()] == [png(start + row) for row in drawn]
        assert split.targets.tolist() == [labels[row] for row in drawn]


def test_another_draw_is_other_data(toy, described):
    identities = []
    for draw in (None, {"rows": 2, "seed": 1}, {"rows": 2, "seed": 2}):
        described(hub=str(toy), draw=draw)
        identities.append(identity.source_identity("toy", Resources()))
    assert identities[1] != identities[2]
    # What was prepared before there were draws is found again.
    assert "draw" not in identities[0]


def test_only_rows_of_the_wanted_domain_are_kept(tmp_path, described):
    folder = repository(
        tmp_path / "domains",
        train=table([0, 0, 1, 2, 2], 10, domain=[4, 1, 4, 4, 1]),
        test=table([0, 1, 2], 50, domain=[1, 4, 4]),
    )
    described(hub=str(folder), keep={"column": "domain", "value": 4})
    ready = prepare("toy", SMALL)
    assert ready.train.inputs[:, 0, 0, 0].tolist() == [10, 12, 13]
    assert ready.test.targets.tolist() == [1, 2]


def test_a_dropped_label_leaves_the_others_renumbered(tmp_path, described):
    folder = repository(
        tmp_path / "clutter", train=table([0, 1, 2, 2], 10), test=table([0, 1, 2], 50)
    )
    described(hub=str(folder), drop_labels=[1], classes=2)
    ready = prepare("toy", SMALL)
    assert ready.class_names == ("ant", "cat")
    assert ready.train.targets.tolist() == [0, 1, 1]


def test_without_an_official_split_a_fifth_of_each_class_is_the_test(tmp_path, described):
    labels = [0] * 10 + [1] * 6 + [2] * 5
    folder = repository(tmp_path / "whole", train=table(labels, 10))
    described(hub=str(folder), splits={"train": ["train"], "test": []}, test_fraction=0.2)
    ready = prepare("toy", SMALL)
    assert np.bincount(ready.test.targets).tolist() == [2, 2, 1]
    assert np.bincount(ready.train.targets).tolist() == [8, 4, 4]
    both = np.concatenate([ready.train.inputs[:, 0, 0, 0], ready.test.inputs[:, 0, 0, 0]])
    assert sorted(both.tolist()) == list(range(10, 31))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image": "img"}, "has no column 'img'"),
        ({"label": "variant"}, "has no column 'variant'"),
        ({"image": "label"}, "does not hold images"),
        ({"splits": {"train": ["train", "val"]}}, "has no split val"),
        ({"classes": 4}, "has 3 classes, not 4"),
        ({"rows": {"train": 5}}, "has 4 train images, not 5"),
        ({"rows": {"test": 9}}, "has 3 test images, not 9"),
        ({"config": "large"}, "large"),
    ],
)
def test_what_differs_from_the_catalogue_is_said(toy, described, fields, message):
    described(hub=str(toy), **fields)
    with pytest.raises(DataError, match=message) as caught:
        prepare("toy", SMALL)
    assert caught.value.remedy


def test_a_class_without_training_images_is_named(tmp_path, described):
    folder = repository(tmp_path / "gap", train=table([0, 2], 10), test=table([0, 1, 2], 50))
    described(hub=str(folder))
    with pytest.raises(DataError, match="class bee has no training image"):
        prepare("toy", SMALL)


def test_hidden_labels_are_refused(tmp_path, described):
    folder = repository(tmp_path / "hidden", train=table([0, 1, 2], 10), test=table([-1, -1], 50))
    described(hub=str(folder))
    with pytest.raises(DataError, match="label -1, which is no class"):
        prepare("toy", SMALL)


def test_a_corrupt_image_is_named_by_row(tmp_path, described):
    rows = table([0, 1, 2], 10).cast_column("image", datasets.Image(decode=False))
    items = rows[:]
    items["image"][1] = {"bytes": items["image"][1]["bytes"][:40], "path": None}
    broken = datasets.Dataset.from_dict(items, features=table([0], 0).features)
    folder = repository(tmp_path / "broken", train=broken, test=table([0, 1, 2], 50))
    described(hub=str(folder))
    with pytest.raises(DataError, match="toy, train row 1 cannot be decoded"):
        prepare("toy", SMALL)


def test_without_a_network_the_command_that_fetches_it_is_told(described):
    described(hub="nobody/nothing", revision=PIN)
    with pytest.raises(DataError, match="no network") as caught:
        prepare("toy", SMALL)
    assert f"hf download --repo-type dataset nobody/nothing --revision {PIN}" in caught.value.remedy
    assert "HF_HOME" in caught.value.remedy


def test_a_gated_set_says_where_its_terms_are(described):
    described(hub="nobody/nothing", revision=PIN, terms="https://huggingface.co/datasets/x")
    with pytest.raises(DataError) as caught:
        prepare("toy", SMALL)
    assert "accept the terms at https://huggingface.co/datasets/x" in caught.value.remedy
    assert "hf auth login" in caught.value.remedy


def cached_on_disk(toy: Path, cache: Path, hub_id: str, revision: str) -> None:
    """Lay out the Arrow cache that an online `load_dataset(hub_id, revision=…)` leaves."""
    builder = datasets.load_dataset_builder(str(toy), cache_dir=str(cache / "scratch"))
    target = cache / hub_id.replace("/", "___") / "default" / "0.0.0" / revision
    builder.download_and_prepare(str(target))
    for file in target.glob("parquet-*"):
        file.rename(target / file.name.replace("parquet-", "toy-"))
    info = target / "dataset_info.json"
    info.write_text(info.read_text().replace('"parquet"', '"toy"', 1).replace(str(toy.name), "toy"))


def test_the_offline_cache_serves_the_pinned_revision(toy, described, tmp_path):
    cached_on_disk(toy, tmp_path / "hf-datasets", "nobody/toy", PIN)
    described(hub="nobody/toy", revision=PIN)
    ready = prepare("toy", SMALL)
    assert ready.facts["revision"] == PIN
    assert ready.train.targets.tolist() == [0, 1, 2, 1]


def test_an_offline_cache_at_another_revision_is_refused(toy, described, tmp_path):
    cached_on_disk(toy, tmp_path / "hf-datasets", "nobody/toy", OTHER)
    described(hub="nobody/toy", revision=PIN)
    with pytest.raises(DataError, match="only revision bbbbbbbbbbbb is here, not aaaaaaaaaaaa"):
        prepare("toy", SMALL)


def downloaded(toy: Path, tmp_path: Path, revision: str) -> None:
    """Lay out what `hf download` leaves."""
    snapshot = tmp_path / "hf-hub" / "datasets--nobody--toy" / "snapshots" / revision
    snapshot.parent.mkdir(parents=True)
    toy.rename(snapshot)


def test_what_hf_download_left_is_found_without_a_network(toy, described, tmp_path):
    downloaded(toy, tmp_path, PIN)
    described(hub="nobody/toy", revision=PIN)
    ready = prepare("toy", SMALL)
    assert ready.facts["revision"] == PIN
    assert ready.test.targets.tolist() == [2, 0, 1]


def test_a_download_of_another_revision_does_not_count(toy, described, tmp_path):
    downloaded(toy, tmp_path, OTHER)
    described(hub="nobody/toy", revision=PIN)
    with pytest.raises(DataError, match="cannot be had"):
        prepare("toy", SMALL)


def test_string_labels_are_numbered_in_sorted_order(tmp_path, described):
    rows = table([2, 0, 1], 10)
    words = rows.remove_columns("label").add_column("label", ["wren", "crow", "gull"])
    folder = repository(tmp_path / "words", train=words, test=words)
    described(hub=str(folder))
    ready = prepare("toy", SMALL)
    assert ready.class_names == ("crow", "gull", "wren")
    assert ready.train.targets.tolist() == [2, 0, 1]


def test_unexpected_failures_become_one_clear_message(toy, described, monkeypatch):
    def explode(*_args, **_kwargs):
        raise RuntimeError("Dataset scripts are no longer supported, but found toy.py\nmore")

    monkeypatch.setattr(hub.datasets, "load_dataset", explode)
    described(hub="nobody/toy", revision=PIN)
    with pytest.raises(DataError, match="scripts are no longer supported") as caught:
        prepare("toy", SMALL)
    assert "more" not in str(caught.value)
