"""Each source of weights gives the weights it names, or says what is wrong."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import huggingface_hub.constants
import pytest
import timm
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import save_file

from bench.errors import WeightsError
from bench.files import file_sha256
from bench.models import shipped, weights
from bench.models.checkpoint import save_checkpoint, state_sha256
from bench.models.network import Network
from bench.models.weights import NetworkBuilder, load_backbone
from bench.parts.networks.bert import Bert
from bench.spec.cell import Resources
from bench.spec.seeds import stream_seed

NONE = Resources()


def stand_in(folder: Path, classes: int = 7, name: str = "test_resnet") -> tuple[Path, dict]:
    """Write a file as timm's own repositories hold: the whole model, head included."""
    torch.manual_seed(3)
    state = timm.create_model(name, num_classes=classes).state_dict()
    path = folder / "model.safetensors"
    save_file(state, path)
    return path, state


def resources(path: Path, classes: int = 7) -> Resources:
    return Resources(files={"mine": (str(path), classes)})


def assert_backbone_of(module: torch.nn.Module, state: dict) -> None:
    loaded = module.state_dict()
    assert set(loaded) == {n for n in state if not n.startswith("fc.")}
    assert all(torch.equal(value, state[n]) for n, value in loaded.items())


# random


def test_random_weights_follow_from_the_seed_alone():
    torch.manual_seed(1)
    first = load_backbone("test_resnet", "random", seed=0, resources=NONE)
    torch.manual_seed(2)
    again = load_backbone("test_resnet", "random", seed=0, resources=NONE)
    other = load_backbone("test_resnet", "random", seed=1, resources=NONE)
    assert first.sha256 == again.sha256 != other.sha256
    assert first.sha256 == state_sha256(first.module.state_dict())
    assert first.source == "random"
    assert first.module.training


def test_loading_leaves_the_global_random_stream_alone(tmp_path):
    path, _ = stand_in(tmp_path)
    state = torch.get_rng_state()
    load_backbone("test_resnet", "random", seed=0, resources=NONE)
    load_backbone("test_resnet", "file:mine", seed=0, resources=resources(path))
    assert torch.equal(state, torch.get_rng_state())


def test_an_unknown_backbone_is_an_error_with_the_nearest_name():
    with pytest.raises(WeightsError, match=r"'resnet5o'.*\n.*did you mean 'resnet50'"):
        load_backbone("resnet5o", "random", seed=0, resources=NONE)


def test_unknown_weights_are_an_error():
    with pytest.raises(WeightsError, match="did you mean 'random'"):
        load_backbone("test_resnet", "randon", seed=0, resources=NONE)


@pytest.mark.parametrize("name", ["test_resnet", "mobilenetv3_small_050.lamb_in1k"])
def test_random_weights_are_timms_own_from_the_stream_of_seed_and_name(name):
    torch.manual_seed(stream_seed(7, "backbone", name))
    plain = timm.create_model(name.partition(".")[0], num_classes=0).state_dict()
    loaded = load_backbone(name, "random", seed=7, resources=NONE)
    assert loaded.sha256 == state_sha256(plain)
    assert list(loaded.module.state_dict()) == list(plain)
    assert loaded.heads == {}


# networks that are not timm's


class Layer(torch.nn.Linear):
    num_features = 4


LAYER = NetworkBuilder("layer(width=4)", lambda shape: Layer(shape[0], 4))
VECTORS = {"seed": 3, "resources": NONE, "input_shape": (2,)}


def test_a_network_of_ones_own_is_drawn_from_the_same_stream():
    loaded = load_backbone(LAYER, "random", **VECTORS)
    torch.manual_seed(stream_seed(3, "backbone", "layer(width=4)"))
    assert loaded.sha256 == state_sha256(Layer(2, 4).state_dict())
    assert (loaded.source, loaded.file, loaded.heads) == ("random", None, {})
    network = Network(loaded.module, {"": 3}, name=LAYER.name)
    assert network(torch.ones(5, 2)).logits.shape == (5, 3)


def test_it_starts_from_its_own_stages_and_from_no_others(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    network = Network(Layer(2, 4), {"": 3}, name=LAYER.name)
    save_checkpoint(network, path)
    loaded = load_backbone(LAYER, "stage", **VECTORS, parent=given(path))
    assert loaded.sha256 == state_sha256(network.backbone.state_dict())
    other = NetworkBuilder("layer(width=8)", LAYER.build)
    with pytest.raises(WeightsError, match=r"of layer\(width=4\), not of layer\(width=8\)"):
        load_backbone(other, "stage", **VECTORS, parent=given(path))
    with pytest.raises(WeightsError, match="not of resnet18"):
        load_backbone("resnet18", "stage", seed=0, resources=NONE, parent=given(path))
    larger = VECTORS | {"input_shape": (5,)}
    with pytest.raises(WeightsError, match="does not fit"):
        load_backbone(LAYER, "stage", **larger, parent=given(path))


def test_it_starts_from_a_file_of_its_own_state(tmp_path):
    state = Layer(2, 4).state_dict()
    save_file(state, tmp_path / "mine.safetensors")
    files = VECTORS | {"resources": resources(tmp_path / "mine.safetensors", 0)}
    loaded = load_backbone(LAYER, "file:mine", **files)
    assert loaded.sha256 == state_sha256(state)
    assert loaded.file == file_sha256(tmp_path / "mine.safetensors")
    save_file({**state, "extra": torch.ones(1)}, tmp_path / "mine.safetensors")
    with pytest.raises(WeightsError, match=r"Unexpected.*extra"):
        load_backbone(LAYER, "file:mine", **files)


def test_it_has_no_weights_of_timm_and_must_say_its_width():
    with pytest.raises(WeightsError, match="not of timm"):
        load_backbone(LAYER, "timm", **VECTORS)
    silent = NetworkBuilder("silent", lambda shape: torch.nn.Linear(shape[0], 4))
    with pytest.raises(WeightsError, match="how many features") as caught:
        load_backbone(silent, "random", **VECTORS)
    assert "num_features" in caught.value.remedy


# timm


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A stand-in for the Hub's cache: the file of whatever repository is asked for."""
    folder = tmp_path / "snapshots" / "abc123"
    folder.mkdir(parents=True)
    path, state = stand_in(folder, classes=1000)
    asked = []

    def download(repository, filename, revision=None):
        asked.append((repository, filename, revision))
        return str(path)

    monkeypatch.setattr(weights, "hf_hub_download", download)
    return asked, state


def test_timm_weights_come_from_the_tags_repository_through_timms_loader(hub):
    asked, state = hub
    loaded = load_backbone("test_resnet.r160_in1k", "timm", seed=0, resources=NONE)
    assert asked == [("timm/test_resnet.r160_in1k", "model.safetensors", None)]
    assert loaded.source == "timm:timm/test_resnet.r160_in1k@abc123"
    assert_backbone_of(loaded.module, state)


def test_a_revision_can_be_pinned(hub):
    asked, _ = hub
    load_backbone("test_resnet.r160_in1k", "timm@f00d", seed=0, resources=NONE)
    assert asked[0][2] == "f00d"


def test_a_name_without_tag_is_an_error_that_lists_the_tags():
    with pytest.raises(WeightsError, match=r"(?s)'resnet50' names no tag.*resnet50\.tv_in1k"):
        load_backbone("resnet50", "timm", seed=0, resources=NONE)


def test_an_unknown_tag_is_an_error_with_the_nearest():
    with pytest.raises(WeightsError, match=r"(?s)tv_in2k.*did you mean 'resnet50\.tv_in1k'"):
        load_backbone("resnet50.tv_in2k", "timm", seed=0, resources=NONE)


def test_without_network_the_error_says_what_to_run(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match=r"hf download timm/resnet50\.tv_in1k") as caught:
        load_backbone("resnet50.tv_in1k", "timm", seed=0, resources=NONE)
    assert isinstance(caught.value.__cause__, LocalEntryNotFoundError | ConnectionError)


# the Hub, of networks that are not timm's

TINY = NetworkBuilder("bert", Bert(width=8, heads=2, feedforward=8, vocabulary=9).build)


def published(tmp_path, monkeypatch, **changed):
    """The Hub's cache with one repository, at one revision, whose names have a prefix."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    state = {f"bert.{name}": value for name, value in TINY.build((6,)).state_dict().items()}
    folder = tmp_path / "models--nobody--tiny" / "snapshots" / ("a" * 40)
    folder.mkdir(parents=True)
    save_file({**state, **changed}, folder / "model.safetensors")
    return state


def test_weights_of_the_hub_fit_a_network_part(tmp_path, monkeypatch):
    state = published(tmp_path, monkeypatch, **{"cls.bias": torch.zeros(9)})
    name = f"nobody/tiny@{'a' * 40}"
    loaded = load_backbone(TINY, f"hf:{name}", seed=0, resources=NONE, input_shape=(6,))
    assert loaded.source == f"hf:{name}"
    assert loaded.trainings == 1
    assert loaded.sha256 == state_sha256({n.removeprefix("bert."): t for n, t in state.items()})


def test_another_revision_is_not_here_and_the_command_is_told(tmp_path, monkeypatch):
    published(tmp_path, monkeypatch)
    name = f"hf:nobody/tiny@{'b' * 40}"
    with pytest.raises(WeightsError, match="nobody/tiny are not in the local cache") as caught:
        load_backbone(TINY, name, seed=0, resources=NONE, input_shape=(6,))
    assert f"model.safetensors --revision {'b' * 40}" in caught.value.remedy


def test_weights_of_the_hub_that_do_not_fit_are_said(tmp_path, monkeypatch):
    published(tmp_path, monkeypatch, **{"bert.pooler.dense.bias": torch.zeros(3)})
    name = f"hf:nobody/tiny@{'a' * 40}"
    with pytest.raises(WeightsError, match=r"does not fit bert.*pooler\.dense\.bias"):
        load_backbone(TINY, name, seed=0, resources=NONE, input_shape=(6,))
    with pytest.raises(WeightsError, match="test_resnet is timm's"):
        load_backbone("test_resnet", name, seed=0, resources=NONE)


# file


@pytest.mark.parametrize("name", ["test_resnet", "mobilenetv2_035", "densenet121"])
def test_a_file_gives_its_backbone_and_drops_its_head(tmp_path, name):
    path, state = stand_in(tmp_path, name=name)
    loaded = load_backbone(name, "file:mine", seed=0, resources=resources(path))
    kept = {n: t for n, t in state.items() if not n.startswith(("fc.", "classifier."))}
    assert loaded.sha256 == state_sha256(kept)
    assert loaded.source == "file:mine"
    head = {n.rpartition(".")[2]: t for n, t in state.items() if n not in kept}
    assert state_sha256(loaded.heads[""]) == state_sha256(head)


def test_a_file_without_head_has_zero_classes(tmp_path):
    path, state = stand_in(tmp_path, classes=0)
    loaded = load_backbone("test_resnet", "file:mine", seed=0, resources=resources(path, 0))
    assert_backbone_of(loaded.module, state)
    assert loaded.heads == {}


def test_a_file_with_another_number_of_classes_is_an_error(tmp_path):
    path, _ = stand_in(tmp_path, classes=7)
    with pytest.raises(WeightsError, match=r"a head of 10 classes.*fc\.weight"):
        load_backbone("test_resnet", "file:mine", seed=0, resources=resources(path, 10))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda s: s.pop("layer2.0.conv1.weight"), r"Missing.*layer2\.0\.conv1\.weight"),
        (lambda s: s.update(extra=torch.zeros(1)), r"Unexpected.*extra"),
        (lambda s: s.update({"bn1.bias": torch.zeros(3)}), r"size mismatch for bn1\.bias"),
    ],
)
def test_a_file_that_does_not_fit_is_an_error_that_names_the_keys(tmp_path, change, problem):
    path, state = stand_in(tmp_path)
    change(state)
    save_file(state, path)
    with pytest.raises(WeightsError, match=problem):
        load_backbone("test_resnet", "file:mine", seed=0, resources=resources(path))


def test_a_pickle_is_refused(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.ones(1)}, path)
    with pytest.raises(WeightsError, match="pickles are not read"):
        load_backbone("test_resnet", "file:mine", seed=0, resources=resources(path))


def test_a_file_that_the_suite_does_not_name_is_an_error(tmp_path):
    with pytest.raises(WeightsError, match="did you mean 'mine'"):
        load_backbone("test_resnet", "file:mein", seed=0, resources=resources(tmp_path))


# stage and shipped


def checkpoint(path: Path, name: str = "test_resnet") -> Network:
    torch.manual_seed(5)
    network = Network(timm.create_model(name, num_classes=0), {"": 4}, name=name)
    save_checkpoint(network, path)
    return network


def given(path: Path) -> tuple[Path, str]:
    return path, file_sha256(path)


def test_a_stages_backbone_is_where_the_next_cell_starts(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    network = checkpoint(path)
    loaded = load_backbone("test_resnet", "stage", seed=0, resources=NONE, parent=given(path))
    assert loaded.sha256 == state_sha256(network.backbone.state_dict())
    assert loaded.source == "stage"
    assert state_sha256(loaded.heads[""]) == state_sha256(network.head.state_dict())


def test_a_stage_whose_file_changed_since_it_was_chosen_is_an_error(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    checkpoint(path)
    with pytest.raises(WeightsError, match="not the file that was written"):
        load_backbone("test_resnet", "stage", seed=0, resources=NONE, parent=(path, "0" * 64))


def test_a_stage_of_several_tasks_is_started_from_as_one_of_them(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    torch.manual_seed(5)
    backbone = timm.create_model("test_resnet", num_classes=0)
    network = Network(backbone, {"a": 4, "b": 2}, name="test_resnet")
    network.private(["bn1"])
    save_checkpoint(network, path)
    start = {"seed": 0, "resources": NONE, "parent": given(path)}
    with pytest.raises(WeightsError, match=r"(?s)private to its tasks.*one of: a, b"):
        load_backbone("test_resnet", "stage", **start)
    loaded = load_backbone("test_resnet", "stage", **start, task="b")
    with network.as_task("b") as whole:
        assert loaded.sha256 == state_sha256(whole.state_dict())
    assert {task: len(head["bias"]) for task, head in loaded.heads.items()} == {"a": 4, "b": 2}


def test_a_stage_of_another_backbone_is_an_error(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    checkpoint(path)
    with pytest.raises(WeightsError, match="of test_resnet, not of resnet18"):
        load_backbone("resnet18", "stage", seed=0, resources=NONE, parent=given(path))


def test_a_stage_without_its_parent_is_an_error():
    with pytest.raises(WeightsError, match="checkpoint of another cell"):
        load_backbone("test_resnet", "stage", seed=0, resources=NONE)


@pytest.fixture
def shipment(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    network = checkpoint(tmp_path / "far.safetensors")
    sha256 = hashlib.sha256((tmp_path / "far.safetensors").read_bytes()).hexdigest()
    facts = {
        "backbone": "test_resnet",
        "classes": 4,
        "sha256": sha256,
        "cell": {"settings": {"recipe": {"image": {"resize": 64, "size": 56}}}},
    }
    (tmp_path / "far.json").write_text(json.dumps(facts))
    return network


def test_shipped_weights_are_found_by_name(shipment):
    assert shipped.shipped_names() == ("far",)
    loaded = load_backbone("test_resnet", "shipped:far", seed=0, resources=NONE)
    assert loaded.sha256 == state_sha256(shipment.backbone.state_dict())
    assert loaded.source == "shipped:far"


def test_shipped_weights_of_another_backbone_or_name_are_errors(shipment):
    with pytest.raises(WeightsError, match="not of resnet18"):
        load_backbone("resnet18", "shipped:far", seed=0, resources=NONE)
    with pytest.raises(WeightsError, match="did you mean 'far'"):
        load_backbone("test_resnet", "shipped:fra", seed=0, resources=NONE)


def test_a_shipped_file_that_was_changed_is_an_error(shipment, tmp_path):
    with open(tmp_path / "far.safetensors", "ab") as file:
        file.write(b"\0")
    with pytest.raises(WeightsError, match="not the file it should be"):
        load_backbone("test_resnet", "shipped:far", seed=0, resources=NONE)


def test_a_description_that_lacks_something_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    (tmp_path / "half.json").write_text('{"backbone": "test_resnet"}')
    with pytest.raises(WeightsError, match="does not describe"):
        shipped.shipped_weights("half")


def test_listing_what_is_shipped_imports_no_torch():
    import subprocess
    import sys

    code = "import sys, bench.models.shipped as s; s.shipped_names(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("name", shipped.shipped_names())
def test_everything_in_the_package_loads(name):
    facts = shipped.shipped_weights(name)
    loaded = load_backbone(facts.backbone, f"shipped:{name}", seed=0, resources=NONE)
    assert loaded.source == f"shipped:{name}"
