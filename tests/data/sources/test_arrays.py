"""A user's own arrays go through the same door, or are told what is wrong with them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from bench.data.folder_digest import dataset_digest
from bench.data.prepare import prepare
from bench.errors import DataError
from bench.spec.cell import Resources
from bench.spec.recipe import Image


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("RETABLE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def vectors() -> dict[str, np.ndarray]:
    inputs = np.arange(24, dtype=np.float32).reshape(8, 3)
    targets = np.array([0, 1, 2, 0, 1, 2, 1, 0])
    return {
        "train_inputs": inputs[:6], "train_targets": targets[:6],
        "test_inputs": inputs[6:], "test_targets": targets[6:],
    }  # fmt: skip


def numbers(**changes: np.ndarray) -> dict[str, np.ndarray]:
    arrays = vectors()
    for split in ("train", "test"):
        arrays[f"{split}_targets"] = arrays[f"{split}_inputs"][:, :1] * 2
    return arrays | changes


def resources(folder: Path, arrays: dict[str, np.ndarray], modality: str = "vectors") -> Resources:
    save_file(arrays, folder / "mine.safetensors")
    return Resources(arrays={"mine": (str(folder / "mine.safetensors"), modality)})


def test_classes_come_back_as_memory_maps_of_the_same_numbers(tmp_path):
    arrays = vectors()
    ready = prepare("mine", None, resources(tmp_path, arrays))
    assert (ready.modality, ready.classes, ready.class_names) == ("vectors", 3, ("0", "1", "2"))
    for split in ("train", "test"):
        found = getattr(ready, split)
        assert isinstance(found.inputs, np.memmap)
        assert not found.inputs.flags.writeable
        assert np.array_equal(found.inputs, arrays[f"{split}_inputs"])
        assert np.array_equal(found.targets, arrays[f"{split}_targets"])
    assert ready.input_shape(Image()) == (3,)
    assert ready.target_shape == ()
    assert ready.facts == {"train_rows": 6, "test_rows": 2}


def test_numbers_to_predict_have_no_classes(tmp_path):
    ready = prepare("mine", None, resources(tmp_path, numbers()))
    assert (ready.classes, ready.class_names, ready.target_shape) == (None, (), (1,))
    assert prepare("mine", None, resources(tmp_path, numbers())).classes is None


@pytest.mark.parametrize(
    ("modality", "inputs", "targets"),
    [
        ("tokens", np.arange(12).reshape(4, 3), np.array([0, 1, 1, 0])),
        ("trajectories", np.ones((4, 5, 2), np.float32), np.ones((4, 3, 2), np.float32)),
    ],
)
def test_tokens_and_trajectories(tmp_path, modality, inputs, targets):
    arrays = {f"{s}_inputs": inputs for s in ("train", "test")}
    arrays |= {f"{s}_targets": targets for s in ("train", "test")}
    ready = prepare("mine", None, resources(tmp_path, arrays, modality))
    assert ready.modality == modality
    assert ready.train.inputs.dtype == inputs.dtype
    assert ready.input_shape(Image()) == inputs.shape[1:]
    assert ready.target_shape == targets.shape[1:]


def test_a_size_of_images_changes_nothing(tmp_path):
    mine = resources(tmp_path, vectors())
    assert prepare("mine", Image(), mine).digest == prepare("mine", None, mine).digest
    assert len(list(tmp_path.glob("cache/data/mine/*/*/manifest.json"))) == 1


def test_a_changed_file_is_other_data(tmp_path):
    mine = resources(tmp_path, vectors())
    before = dataset_digest("mine", mine)
    assert before == prepare("mine", None, mine).digest == dataset_digest("mine", mine)
    changed = vectors()
    changed["test_inputs"] = changed["test_inputs"] + 1
    mine = resources(tmp_path, changed)
    os.utime(tmp_path / "mine.safetensors", ns=(1, 1))
    after = dataset_digest("mine", mine)
    assert after != before
    assert after == prepare("mine", None, mine).digest
    assert prepare("mine", None, mine).test.inputs[0, 0] == 19


def test_rows_that_change_split_or_meaning_are_other_data(tmp_path):
    arrays = vectors()
    one = dataset_digest("mine", resources(tmp_path, arrays))
    swapped = {name: arrays[name] for name in arrays} | {
        "train_inputs": arrays["train_inputs"][::-1].copy()
    }
    assert dataset_digest("mine", resources(tmp_path, swapped)) != one
    solid = {n: a[:, :, None] if n.endswith("inputs") else a for n, a in arrays.items()}
    kinds = [dataset_digest("mine", resources(tmp_path, solid, m)) for m in ("vectors", "trajectories")]  # fmt: skip  # noqa: E501
    assert kinds[0] != kinds[1]


def test_a_file_that_is_not_here_is_unknown_and_an_error_to_load(tmp_path):
    gone = Resources(arrays={"mine": (str(tmp_path / "gone.safetensors"), "vectors")})
    assert dataset_digest("mine", gone) is None
    with pytest.raises(DataError, match=r"gone\.safetensors") as caught:
        prepare("mine", None, gone)
    assert "datasets:" in caught.value.remedy


def test_a_pickle_is_refused(tmp_path):
    np.save(tmp_path / "mine.npy", np.array([{}], dtype=object), allow_pickle=True)
    mine = Resources(arrays={"mine": (str(tmp_path / "mine.npy"), "vectors")})
    with pytest.raises(DataError, match="not a readable safetensors file") as caught:
        prepare("mine", None, mine)
    assert "pickles are not read" in caught.value.remedy


ROW = np.zeros((6, 3), np.float32)


@pytest.mark.parametrize(
    ("change", "field", "problem"),
    [
        ({"test_targets": None}, "test_targets", "is missing"),
        ({"extra": ROW}, "extra", "none of the four"),
        ({"train_inputs": ROW.astype(np.float64)}, "train_inputs", "type F64"),
        ({"train_inputs": ROW.astype(np.int64)}, "train_inputs", "vectors are float32"),
        ({"train_inputs": ROW[:, 0].copy()}, "train_inputs", r"shape \(6,\)"),
        ({"train_inputs": ROW[:, :0].copy()}, "train_inputs", "none empty"),
        ({"train_inputs": ROW[:4].copy()}, "train_targets", "4 rows of train_inputs"),
        ({"train_targets": np.zeros((6, 2), np.int64)}, "train_targets", r"classes are \(n,\)"),
        ({"train_targets": np.zeros((6, 0), np.float32)}, "train_targets", "holds nothing"),
        ({"test_inputs": np.zeros((2, 4), np.float32)}, "test_inputs", r"float32 \(4,\)"),
        ({"test_targets": np.zeros((2, 1), np.float32)}, "test_targets", "float32"),
        ({"train_inputs": np.where(np.eye(6, 3) > 0, np.nan, ROW).astype(np.float32)},
         "train_inputs", "row 0 holds a number that is not finite"),
        ({"train_targets": np.array([0, 2, 2, 0, 3, 3])}, "train_targets", "no row of class 1"),
        ({"train_targets": np.array([1, 2, 2, 1, 1, 1])}, "train_targets", "no row of class 0"),
        ({"train_targets": np.array([-1, 0, 1, 2, 2, 1])}, "train_targets", "the class -1"),
        ({"test_targets": np.array([0, 3])}, "test_targets", "the class 3"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_file_array_and_remedy(tmp_path, change, field, problem):
    arrays = {n: a for n, a in (vectors() | change).items() if a is not None}
    with pytest.raises(DataError, match=problem) as caught:
        prepare("mine", None, resources(tmp_path, arrays))
    assert caught.value.field == field
    assert caught.value.file.endswith("mine.safetensors")
    assert caught.value.remedy


def test_tokens_begin_at_zero_and_modalities_are_known(tmp_path):
    arrays = vectors() | {
        f"{s}_inputs": np.full((n, 2), -1) for s, n in (("train", 6), ("test", 2))
    }
    with pytest.raises(DataError, match="token -1"):
        prepare("mine", None, resources(tmp_path, arrays, "tokens"))
    with pytest.raises(DataError, match="'vector' are not known") as caught:
        prepare("mine", None, resources(tmp_path, vectors(), "vector"))
    assert "did you mean 'vectors'" in caught.value.remedy
