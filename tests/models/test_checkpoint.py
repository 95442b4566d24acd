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
from bench.models import checkpoint
from bench.models.checkpoint import (
    load_checkpoint,
    read_tensors,
    restore,
    save_checkpoint,
    state_sha256,
    write_tensors,
)
from bench.models.network import Network


def network(seed: int, classes: int = 3, name: str = "test_resnet") -> Network:
    torch.manual_seed(seed)
    net = Network(timm.create_model(name, num_classes=0), classes, name=name)
    torch.nn.init.normal_(net.head.weight)
    return net


def test_a_network_comes_back_bit_for_bit(tmp_path):
    first, second = network(0).to(memory_format=torch.channels_last), network(1)
    first(torch.randn(4, 3, 64, 64))
    save_checkpoint(first, tmp_path / "c.safetensors")
    restore(second, tmp_path / "c.safetensors")
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_the_file_says_what_it_holds_and_the_digest_is_of_its_bytes(tmp_path):
    path = tmp_path / "c.safetensors"
    digest = save_checkpoint(network(0), path)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    read = load_checkpoint(path)
    assert (read.name, read.classes) == ("test_resnet", 3)
    assert set(read.head) == {"weight", "bias"}
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


def test_a_checkpoint_of_another_head_or_backbone_does_not_fit(tmp_path):
    save_checkpoint(network(0), tmp_path / "c.safetensors")
    with pytest.raises(WeightsError, match=r"does not fit test_resnet.*weight"):
        restore(network(0, classes=4), tmp_path / "c.safetensors")
    with pytest.raises(WeightsError, match="does not fit test_efficientnet"):
        restore(network(0, name="test_efficientnet"), tmp_path / "c.safetensors")


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
