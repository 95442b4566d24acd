"""CheXpert's licensed files, by a stand-in: lists, labels and pixels of the paper's code."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from PIL import Image as Pillow

from bench.data import identity
from bench.data import prepare as door
from bench.data.digests import cached_digest
from bench.data.prepare import prepare
from bench.data.sources.chexpert import (
    FINDINGS,
    FOLDER,
    chexpert_source,
    decode_radiograph,
    equalised,
    listed,
)
from bench.errors import DataError
from bench.spec.catalogue import Draw, Rows, entry
from bench.spec.cell import Resources
from bench.spec.recipe import Image

# As the official list has them.
HEADER = [
    "Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", "No Finding", "Enlarged Cardiomediastinum",
    "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema", "Consolidation", "Pneumonia",
    "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture",
    "Support Devices",
]  # fmt: skip
COUNT, EACH = 12, 4
SMALL = entry("chexpert").model_copy(
    update={"draw": Draw(rows=EACH, seed=1234), "rows": Rows(test=EACH)}
)
IMAGE = Image(resize=16, size=16, fit="pad", normalise="quarter")


def path_of(row: int) -> str:
    return f"train/patient{row:05d}/study1/view1_frontal.jpg"


def png(row: int) -> bytes:
    pixels = np.random.default_rng(row).integers(0, 256, (20, 16)).astype(np.uint8)
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write(folder, said, before="CheXpert-v1.0-small/", header=HEADER, images=True):
    """Write a list with what is said of the findings in each row, and its images."""
    folder.mkdir(exist_ok=True)
    with open(folder / "train.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, header)
        writer.writeheader()
        for row, words in enumerate(said):
            line = {"Path": before + path_of(row), "Sex": "Female", "Age": 60, **words}
            writer.writerow({k: v for k, v in line.items() if k in header})
            if images:
                place = folder / path_of(row)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(png(row))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER, str(tmp_path / "chexpert"))
    monkeypatch.setenv("RETABLE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "chexpert"


@pytest.fixture
def in_catalogue(monkeypatch):
    """The catalogue's entry, of a list as short as the stand-in's."""
    for module in (identity, door):
        monkeypatch.setattr(module, "known_entry", lambda name, resources: SMALL, raising=False)
    monkeypatch.setattr(identity, "entry", lambda name: SMALL)


# One patient a row; every other has the last finding.
SAID = [{"Pleural Effusion": ["0.0", "1.0"][row % 2]} for row in range(COUNT)]


def test_the_catalogues_entry_is_the_papers():
    known = entry("chexpert")
    assert (known.draw, known.targets) == (Draw(rows=50_000, seed=1234), "labels")
    assert list(FINDINGS) == [HEADER[k] for k in (7, 10, 11, 13, 15)]


def test_splits_are_those_of_the_papers_script(folder):
    write(folder, SAID, images=False)
    lines = [path_of(row) for row in range(COUNT)]
    # split_trainset.py: the lines in an order of their own, of which slices are taken.
    order = np.random.RandomState(seed=1234).permutation(lines)
    found = listed(folder, SMALL)
    assert list(found["train"].paths) == list(order[:EACH])
    assert list(found["test"].paths) == list(order[EACH : 2 * EACH])
    parity = [int(path[13:18]) % 2 for path in found["test"].paths]
    assert found["test"].findings[:, 4].tolist() == parity


@pytest.mark.parametrize("before", ["CheXpert-v1.0/", "CheXpert-v1.0-small/", ""])
def test_any_release_names_the_same_files(folder, before):
    write(folder, SAID, before=before, images=False)
    assert set(listed(folder, SMALL)["train"].paths) <= {path_of(row) for row in range(COUNT)}


def test_what_is_uncertain_is_present_for_two_findings_and_absent_for_three(folder):
    names = list(FINDINGS)
    for word, expected in (
        ("-1.0", [0, 1, 0, 1, 0]), ("1.0", [1] * 5), ("0.0", [0] * 5), ("", [0] * 5),
    ):  # fmt: skip
        write(folder, [dict.fromkeys(names, word)] * COUNT, images=False)
        found = listed(folder, SMALL)["test"].findings
        assert found.dtype == np.float32
        assert found.tolist() == [expected] * EACH


def test_rows_with_cardiomegaly_or_consolidation_train_twice_and_are_tested_once(folder):
    said = [{"Cardiomegaly": 1.0}, {"Consolidation": 1.0}, {"Edema": 1.0}, {"Cardiomegaly": -1.0}]
    write(folder, said * 3)
    source = chexpert_source(SMALL)
    once = listed(folder, SMALL)["train"].paths
    expected = [path for path in once for _ in range(1 + (int(path[13:18]) % 4 < 2))]
    assert [blob.where for blob in source.train.blobs()] == [str(folder / p) for p in expected]
    assert source.facts["train_rows_doubled"] == len(expected) - EACH > 0
    assert len(source.train.targets) == len(expected)
    assert len(source.test.targets) == EACH


def test_a_radiograph_is_equalised_padded_and_blurred_in_this_order():
    data = png(3)
    grey = np.asarray(Pillow.open(io.BytesIO(data)))
    # Of equalizeHist: the share of the other pixels that are at most as light, of 255.
    darkest = (grey == grey.min()).sum()
    share = np.array([[(grey <= value).sum() for value in row] for row in grey]) - darkest
    level = np.rint(255 * share / (grey.size - darkest))
    assert np.array_equal(equalised(grey), level.astype(np.uint8))
    # At its own height nothing is resized; four columns on the right are 128.
    padded = np.full((20, 20), 128.0)
    padded[:, :16] = level
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16
    around = np.pad(padded, 1, mode="reflect")
    blurred = sum(kernel[y, x] * around[y : y + 20, x : x + 20] for y in range(3) for x in range(3))
    found = decode_radiograph(data, Image(resize=20, size=20, fit="pad"))
    assert found.shape == (20, 20, 3)
    assert np.array_equal(found, np.repeat(np.rint(blurred)[..., None], 3, axis=2))


def test_an_image_of_one_value_stays_as_it_is():
    plain = np.full((3, 4), 77, dtype=np.uint8)
    assert np.array_equal(equalised(plain), plain)


@pytest.mark.usefixtures("in_catalogue")
def test_it_is_prepared_like_any_images_and_again_after_one_changed(folder):
    write(folder, SAID)
    first = prepare("chexpert", IMAGE)
    assert (first.modality, first.classes, first.target_shape) == ("images", None, (5,))
    assert first.test.inputs.shape == (EACH, 16, 16, 3)
    assert cached_digest("chexpert", Resources()) == first.digest
    changed = folder / listed(folder, SMALL)["test"].paths[0]
    changed.write_bytes(png(99))
    assert cached_digest("chexpert", Resources()) is None
    assert prepare("chexpert", IMAGE).digest != first.digest


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ([{"Edema": 2.0}] * COUNT, r"line 2 says 2.0 of Edema"),
        (SAID[:7], "has 7 rows, and 8 are drawn"),
    ],
)
def test_a_list_that_is_not_the_official_one_is_refused(folder, said, problem):
    write(folder, said, images=False)
    with pytest.raises(DataError, match=problem) as caught:
        chexpert_source(SMALL)
    assert "train.csv" in str(caught.value)
    assert caught.value.remedy


def test_a_list_without_a_finding_or_with_a_path_outside_is_refused(folder):
    write(folder, SAID, header=[name for name in HEADER if name != "Edema"], images=False)
    with pytest.raises(DataError, match=r"is not CheXpert's list.*Edema"):
        chexpert_source(SMALL)
    write(folder, SAID, before="../", images=False)
    with pytest.raises(DataError, match="line 2 names no image below train/"):
        chexpert_source(SMALL)


def test_without_files_it_says_where_to_get_them(folder, monkeypatch):
    with pytest.raises(DataError, match=r"train.csv.*cannot be read"):
        prepare("chexpert", IMAGE)
    write(folder, SAID, images=False)
    with pytest.raises(DataError, match=r"view1_frontal.jpg.*cannot be read"):
        next(chexpert_source(SMALL).train.blobs())
    monkeypatch.delenv(FOLDER)
    with pytest.raises(DataError, match=f"{FOLDER} names no folder") as caught:
        prepare("chexpert", IMAGE)
    assert "chexpert" in caught.value.remedy
