"""``bench measure``: what is wrong with what it is given is said, with what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from bench.cli.subjects import Subject, data_of, subject
from bench.errors import StoreError, UserError
from bench.files import file_sha256
from bench.models import own_file
from bench.models.architecture import create_timm
from bench.models.checkpoint import save_checkpoint
from bench.models.network import Network
from bench.models.own_file import OwnFile
from bench.spec.measuring import Weights
from tests.cli.laid import SUITE, lay

GLYPHS = {"dataset": "glyphs", "sampling_rate": 0.5, "objective": {"classification": {}}}
SMALL = {"resize": 32, "size": 32}
NONE: dict[str, Any] = {"image": None, "sampling_rate": None, "objective": None}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    for name, classes in (("ten", 10), ("bare", 0)):
        state = create_timm("test_resnet", num_classes=classes).state_dict()
        save_file(state, folder / f"{name}.safetensors")
    torch.save({"fc.weight": torch.zeros(2)}, folder / "pickle.pt")
    network = Network(create_timm("test_resnet", num_classes=0), {"": 7}, name="test_resnet.x")
    save_checkpoint(network, folder / "ours.safetensors")
    save_file({"outputs": torch.zeros(2, 3)}, folder / "outputs.safetensors")
    return folder


def of_file(path: Path, backbone: Any = None, *, predictions: bool = False) -> Subject:
    return subject(str(path), Path("no-store"), backbone, predictions=predictions)


# -- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "classes"), [("ten", 10), ("bare", None)])
def test_a_state_dict_has_the_head_that_timm_names(files: Path, name: str, classes: int) -> None:
    found = of_file(files / f"{name}.safetensors", "test_resnet.r160_in1k")
    assert found.told["classes"] == classes
    assert found.weights.classes == (classes or 0)
    assert found.weights.backbone == "test_resnet.r160_in1k"


def test_a_checkpoint_says_itself_what_it_is(files: Path) -> None:
    found = of_file(files / "ours.safetensors")
    assert (found.weights.backbone, found.weights.classes) == ("test_resnet.x", 7)


@pytest.mark.parametrize(
    ("name", "backbone", "problem"),
    [
        ("gone.safetensors", "test_resnet", "gone.safetensors: there is no such file"),
        ("pickle.pt", "test_resnet", "not a readable safetensors[^\n]*\n.*pickles are not read"),
        ("ten.safetensors", None, "of which network it is\n  add --backbone"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(
    files: Path, name: str, backbone: str | None, problem: str
) -> None:
    with pytest.raises(UserError, match=problem):
        of_file(files / name, backbone)


def test_a_file_that_holds_no_predictions_is_refused(files: Path) -> None:
    with pytest.raises(UserError, match=r"holds no predictions\n  save outputs"):
        of_file(files / "outputs.safetensors", predictions=True)


def test_weights_of_no_file_need_a_network() -> None:
    with pytest.raises(UserError, match=r"shipped:fractals are weights.*\n  add --backbone"):
        of_file(Path("shipped:fractals"))
    assert of_file(Path("random"), "test_resnet").weights == Weights(
        name="random", backbone="test_resnet"
    )


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["distance", "ten", "ten", "--backbone", "test_vit"], "does not fit test_vit"),
        (["distance", "ours", "ours", "--backbone", "test_vit"], "are of test_resnet.x, not of"),
        (["barrier", "ten", "ten", "--backbone", "test_resnet"], "no measurement 'barrier'"),
        (["distance", "ten", "--backbone", "test_resnet"], "name one for second"),
        (["distance", "ten", "ten", "--set", "x=1", "--backbone", "test_resnet"], "unknown key"),
        (["distance", "ten", "ten", "--on", "digits"], "looks at no data\n  leave --on out"),
        (["distance", "ten", "--role", "second"], "'second' names no network"),
    ],
)
def test_a_command_that_cannot_be_done_says_why(
    files: Path, bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: list[str], problem: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    known = {name: str(files / f"{name}.safetensors") for name in ("ten", "ours")}
    ended = bench("measure", *(known.get(argument, argument) for argument in arguments))
    assert isinstance(ended.exception, UserError)
    assert problem in str(ended.exception)
    assert not list(tmp_path.iterdir())


# -- cells ---------------------------------------------------------------------------------------


def of_cell(given: str, folder: Path, *, predictions: bool = False) -> Subject:
    return subject(given, folder / "store", None, predictions=predictions)


def test_a_cell_is_its_checkpoint_with_what_it_was_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is laid is no network.
    monkeypatch.setattr(own_file, "described", lambda path, backbone: OwnFile("test_resnet", 7))
    stage = next(planned.cell for planned in lay(tmp_path).cells if planned.name)
    found = of_cell(stage.id[:8], tmp_path)
    assert (found.cell, found.weights.seed, found.weights.classes) == (stage.id, 0, 7)
    assert not found.weights.frozen
    assert found.weights.backbone == "test_resnet"
    assert found.weights.file is not None
    assert found.weights.file.read_text() == f"checkpoint of {stage.id}"
    assert found.told["sha256"] == file_sha256(found.weights.file)
    assert found.task is not None
    assert found.task["dataset"] == "glyphs-source"
    assert found.task["objective"] == {"classification": {}}
    assert stage.recipe is not None
    assert found.image == stage.recipe.image.model_dump()


def test_a_cell_tells_that_its_statistics_were_frozen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_file, "described", lambda path, backbone: OwnFile("test_resnet", 7))
    trained = "trainable: {all: {statistics: frozen}}"
    frozen = SUITE.replace("  a: {", f"  a: {{{trained}, ")
    stage = next(planned.cell for planned in lay(tmp_path, frozen).cells if planned.name)
    assert of_cell(stage.id, tmp_path).weights.frozen


def test_a_state_that_a_cell_has_not_kept_is_told_with_those_it_has(tmp_path: Path) -> None:
    plan = lay(tmp_path)
    stage, cell = plan.behind[0].cell, plan.shown[0].cell
    with pytest.raises(StoreError, match=r"has no checkpoint@step 300 here; it has: checkpoint\n"):
        of_cell(f"{stage.id}@300", tmp_path)
    with pytest.raises(StoreError, match="has no predictions here"):
        of_cell(stage.id, tmp_path, predictions=True)
    with pytest.raises(StoreError, match=r"has no checkpoint here; .*\n  run .* with --keep"):
        of_cell(cell.id, tmp_path)


def test_what_is_neither_a_file_nor_a_cell_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="'abc' is no file, and no cell's id begins with 'abc'"):
        subject("abc", tmp_path, None, predictions=False)


# -- data ----------------------------------------------------------------------------------------


def cell(task: dict[str, Any] | None = None, image: dict[str, Any] | None = None) -> Subject:
    return Subject(Weights(seed=1), {}, "id", task or GLYPHS, image or SMALL)


FILE = Subject(Weights(), {})


def test_cells_of_one_task_are_measured_on_it() -> None:
    found = data_of({"first": cell(), "second": cell()}, None, **NONE)
    assert (found.task, found.own, found.image) == (GLYPHS, None, SMALL)


@pytest.mark.parametrize(
    "other", [FILE, cell({**GLYPHS, "dataset": "digits"}), cell(image={**SMALL, "size": 28})]
)
def test_without_one_task_it_must_be_said(other: Subject) -> None:
    with pytest.raises(UserError, match="--on: it is not said what to measure on"):
        data_of({"first": cell(), "second": other}, None, **NONE)


def test_what_is_asked_for_goes_before_what_the_cells_say() -> None:
    found = data_of(
        {"first": cell()}, "digits", image=16, sampling_rate=0.1, objective="regression"
    )
    assert found.task == {"dataset": "digits", "sampling_rate": 0.1, "objective": "regression"}
    assert found.image == {"resize": 16, "size": 16}


@pytest.mark.parametrize("other", [FILE, cell({**GLYPHS, "dataset": "digits"}), cell()])
def test_images_are_as_the_cells_saw_them_on_whatever_data(other: Subject) -> None:
    # Else networks of 32 pixels would be measured at 224, without a word.
    found = data_of({"first": other, "second": cell()}, "fractals", **NONE)
    assert found.image == SMALL
    assert found.task == {"dataset": "fractals", "objective": GLYPHS["objective"]}


def test_a_cell_beside_a_file_is_measured_on_its_own_task() -> None:
    shuffled = {**GLYPHS, "transforms": {"edges": {}}}
    found = data_of({"first": cell(shuffled), "second": FILE}, "glyphs", **NONE)
    assert found.task == shuffled


def test_cells_of_other_images_need_to_be_told_which() -> None:
    subjects = {"first": cell(), "second": cell(image={"resize": 28, "size": 28})}
    with pytest.raises(UserError, match=r"different resize, size\n  add --image SIZE"):
        data_of(subjects, "digits", **NONE)
    found = data_of(subjects, "digits", **{**NONE, "image": 64})
    assert found.image == {"resize": 64, "size": 64}
    subjects = {n: cell(image={**SMALL, "normalise": n}) for n in ("imagenet", "half")}
    with pytest.raises(UserError, match=r"different normalise\n  measure networks whose"):
        data_of(subjects, "digits", **{**NONE, "image": 64})


def test_shipped_weights_see_the_images_that_they_were_trained_on(tmp_path: Path) -> None:
    shipped = subject("shipped:fractals", tmp_path, "test_resnet", predictions=False)
    found = data_of({"first": shipped}, "fractals", **NONE)
    assert found.image is not None
    assert (found.image["resize"], found.image["size"]) == (64, 56)
    with pytest.raises(UserError, match="different fit, normalise, resize, size"):
        data_of({"first": shipped, "second": cell()}, "digits", **NONE)
    timm = subject("timm", tmp_path, "test_resnet", predictions=False)
    assert data_of({"first": timm}, "fractals", **NONE).image is None


def test_data_of_ones_own_are_a_folder_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "my flowers").mkdir()
    found = data_of({"first": FILE}, str(tmp_path / "my flowers"), **NONE)
    assert found.task == {"dataset": "my-flowers"}
    assert found.own == {"folder": str(tmp_path / "my flowers")}
    for kind, modality in ((torch.float32, "vectors"), (torch.int64, "tokens")):
        save_file({"train_inputs": torch.zeros(2, 3, dtype=kind)}, tmp_path / "a.safetensors")
        found = data_of({"first": FILE}, str(tmp_path / "a.safetensors"), **NONE)
        assert found.own == {"file": str(tmp_path / "a.safetensors"), "modality": modality}


def test_a_suites_own_data_must_be_found_and_keep_their_name(tmp_path: Path) -> None:
    own = cell({**GLYPHS, "dataset": "flowers"})
    with pytest.raises(UserError, match=r"flowers, are their suite's own.*\n  add --on FOLDER"):
        data_of({"first": own}, None, **NONE)
    found = data_of({"first": own}, str(tmp_path), **NONE)
    assert found.task == own.task
    assert found.own == {"folder": str(tmp_path)}


def test_an_unknown_dataset_has_a_near_one() -> None:
    with pytest.raises(UserError, match=r"'glyps' is neither.*\n  did you mean 'glyphs'"):
        data_of({"first": FILE}, "glyps", **NONE)
