"""Checkpoints come back as they were, and only whole."""

from __future__ import annotations

import hashlib
import os
import pickle

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from bench.errors import WeightsError
from bench.models import checkpoint, shipped
from bench.models.checkpoint import (
    load_checkpoint,
    read_tensors,
    save_checkpoint,
    state_sha256,
    write_tensors,
)
from bench.models.network import Network
from bench.models.weights import load_backbone
from bench.spec.cell import Resources


def network(seed: int, classes: int = 3, name: str = "test_resnet") -> Network:
    torch.manual_seed(seed)
    net = Network(timm.create_model(name, num_classes=0), {"": classes}, name=name)
    torch.nn.init.normal_(net.head.weight)
    return net


def test_a_network_comes_back_bit_for_bit(tmp_path):
    first, second = network(0).to(memory_format=torch.channels_last), network(1)
    first(torch.randn(4, 3, 64, 64))
    save_checkpoint(first, tmp_path / "c.safetensors")
    read = load_checkpoint(tmp_path / "c.safetensors")
    second.backbone.load_state_dict(read.backbone)
    second.load_heads(read.heads)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_the_file_says_what_it_holds_and_the_digest_is_of_its_bytes(tmp_path):
    path = tmp_path / "c.safetensors"
    digest = save_checkpoint(network(0), path)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    read = load_checkpoint(path)
    assert read.name == "test_resnet"
    assert list(read.heads) == [""]
    assert {n: tuple(t.shape) for n, t in read.heads[""].items()} == {
        "weight": (3, 96),
        "bias": (3,),
    }
    assert read.private == {}
    assert read_tensors(path)[1] == {"backbone": "test_resnet", "classes": 3, "trainings": 1}
    assert "layer1.0.conv1.weight" in read.backbone
    assert set(load_file(path)) == {f"backbone.{n}" for n in read.backbone} | {
        "head.weight",
        "head.bias",
    }


def test_the_same_state_gives_the_same_bytes(tmp_path):
    digests = {save_checkpoint(network(0), tmp_path / f"{i}.safetensors") for i in range(3)}
    assert len(digests) == 1


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "c.safetensors"
    write_tensors(path, {"a": torch.ones(1)})

    def fail(*_args, **_kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(checkpoint, "save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        write_tensors(path, {"a": torch.zeros(1)})
    assert os.listdir(tmp_path) == ["c.safetensors"]
    assert read_tensors(path)[0]["a"] == 1


def test_facts_are_kept_beside_the_tensors(tmp_path):
    write_tensors(tmp_path / "t.safetensors", {"layer1": torch.arange(3.0)}, {"classes": 7})
    tensors, facts = read_tensors(tmp_path / "t.safetensors")
    assert facts == {"classes": 7}
    assert tensors["layer1"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", shipped.shipped_names())
def test_a_shipped_checkpoint_that_is_saved_again_is_the_same_file(tmp_path, name):
    facts = shipped.shipped_weights(name)
    loaded = load_backbone(facts.backbone, f"shipped:{name}", seed=0, resources=Resources())
    again = Network(loaded.module, {"": facts.classes}, name=facts.backbone)
    again.load_heads(loaded.heads)
    assert again.widths == {"": facts.classes}
    assert save_checkpoint(again, tmp_path / "c.safetensors") == facts.sha256


def test_several_tasks_and_what_is_private_to_them_come_back(tmp_path):
    torch.manual_seed(0)
    first = Network(timm.create_model("test_resnet", num_classes=0), {"a": 2, "b": 3}, name="t")
    first.private(["bn1", "layer2.0.bn1"])
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.normal_()
    save_checkpoint(first, tmp_path / "c.safetensors")
    read = load_checkpoint(tmp_path / "c.safetensors")
    assert {t: len(s["bias"]) for t, s in read.heads.items()} == {"a": 2, "b": 3}
    assert "bn1.weight" not in read.backbone
    for task in ("a", "b"):
        whole = timm.create_model("test_resnet", num_classes=0).eval()
        whole.load_state_dict(read.backbone_of(task))
        images = torch.randn(2, 3, 32, 32)
        with torch.no_grad():
            assert torch.equal(whole(images), first.eval()(images, task=task).features)


def test_bytes_that_are_not_those_written_are_refused(tmp_path):
    path = tmp_path / "c.safetensors"
    written = save_checkpoint(network(0), path)
    assert load_checkpoint(path, written).name == "test_resnet"
    save_checkpoint(network(1), path)
    with pytest.raises(WeightsError, match=r"c\.safetensors: is not the file that was written"):
        load_checkpoint(path, written)


def test_other_files_are_errors_that_name_the_file(tmp_path):
    missing, pickled, foreign = (tmp_path / n for n in ("none.st", "p.pth", "f.safetensors"))
    pickled.write_bytes(pickle.dumps({"a": 1}))
    save_file({"a": torch.ones(1)}, foreign)
    with pytest.raises(WeightsError, match=r"none\.st: there is no such file"):
        load_checkpoint(missing)
    with pytest.raises(WeightsError, match=r"p\.pth: is not a readable safetensors"):
        load_checkpoint(pickled)
    with pytest.raises(WeightsError, match="names no backbone"):
        load_checkpoint(foreign)


def test_the_state_digest_is_of_names_dtypes_shapes_and_bytes():
    state = {"b": torch.tensor([1.0, 2.0]), "a": torch.tensor(3)}
    text = b"a\x1ftorch.int64\x1f()\x1e" + (3).to_bytes(8, "little")
    text += b"b\x1ftorch.float32\x1f(2,)\x1e" + bytes.fromhex("0000803f00000040")
    assert state_sha256(state) == hashlib.sha256(text).hexdigest()


@pytest.mark.parametrize(
    "other",
    [
        {"a": torch.zeros(2, 3)},
        {"b": torch.zeros(6)},
        {"a": torch.zeros(6, dtype=torch.int32)},
        {"a": torch.tensor([0, 0, 0, 0, 0, 1e-30])},
    ],
)
def test_the_state_digest_sees_every_difference(other):
    assert state_sha256(other) != state_sha256({"a": torch.zeros(6)})


def test_the_state_digest_does_not_depend_on_memory_format():
    value = torch.randn(2, 3, 4, 5)
    laid_out = value.to(memory_format=torch.channels_last)
    assert state_sha256({"a": value}) == state_sha256({"a": laid_out})
