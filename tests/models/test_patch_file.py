"""A patch holds what training may change and nothing else, and makes the checkpoint of its body."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bench.errors import UserError, WeightsError
from bench.models.checkpoint import (
    load_checkpoint,
    read_tensors,
    save_checkpoint,
    state_sha256,
    write_tensors,
)
from bench.models.network import Network, state_on_cpu
from bench.models.patch_file import Body, load_patch, may_change, save_patch


class Backbone(nn.Module):
    num_features = 4

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.other = nn.Conv2d(4, 4, 1)
        self.after = nn.BatchNorm2d(4)

    def forward(self, images: Tensor) -> Tensor:
        return self.after(self.other(self.norm(self.conv(images)))).mean((2, 3))


def _network(widths: dict[str, int] | None = None) -> tuple[Network, Body]:
    torch.manual_seed(0)
    backbone = Backbone()
    body = Body(state_on_cpu(backbone), state_sha256(backbone.state_dict()))
    network = Network(backbone, widths or {"": 2}, name="toy", trainings=3)
    network.requires_grad_(False).eval()
    return network, body


def _scales_and_biases(network: Network) -> None:
    for norm in network.body().modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.requires_grad_(True).train()


def _move(network: Network, names: set[str]) -> None:
    state = network.state_dict()
    with torch.no_grad():
        for name in names:
            state[name].add_(1)


def _same(one: object, other: object) -> bool:
    """Whether two checkpoints are one, bit for bit."""
    a, b = vars(one), vars(other)
    states = [
        {"backbone": c["backbone"], **c["heads"], **{f"p{n}": s for n, s in c["private"].items()}}
        for c in (a, b)
    ]
    digests = [{name: state_sha256(state) for name, state in each.items()} for each in states]
    plain = [{n: c[n] for n in ("name", "trainings")} for c in (a, b)]
    return digests[0] == digests[1] and plain[0] == plain[1]


NORM = {f"backbone.norm.{n}" for n in ("weight", "bias")}
MOVING = NORM | {
    f"backbone.norm.{n}" for n in ("running_mean", "running_var", "num_batches_tracked")
}


@pytest.mark.parametrize(("moving", "expected"), [(False, NORM), (True, MOVING)])
def test_a_patch_holds_what_training_may_change(
    tmp_path: Path, moving: bool, expected: set[str]
) -> None:
    network, body = _network()
    network.backbone.norm.requires_grad_(True).train(moving)
    changing = may_change(network)
    assert changing == expected
    # One of them did not move, and is there all the same: which names there are is no accident.
    _move(network, changing - {"backbone.norm.bias"})
    file, whole = tmp_path / "patch.safetensors", tmp_path / "whole.safetensors"
    digest = save_patch(network, file, body, changing)
    save_checkpoint(network, whole)
    tensors, facts = read_tensors(file)
    assert set(tensors) == expected | {"head.weight", "head.bias"}
    assert facts == {
        "backbone": "toy", "trainings": 4, "classes": 2, "body": body.sha256,
        "heads": {"": [2, 4]},
    }  # fmt: skip
    assert _same(load_patch(file, body, digest), load_checkpoint(whole))
    assert file.stat().st_size < whole.stat().st_size


def test_what_differs_from_the_body_is_in_the_patch_too(tmp_path: Path) -> None:
    """Statistics that were averaged anew stay frozen, and are not the body's."""
    network, body = _network()
    network.backbone.norm.requires_grad_(True)
    changing = may_change(network)
    _move(network, {"backbone.after.running_mean", "backbone.norm.weight"})
    network.backbone.after.bias.data.neg_()  # from 0.0 to -0.0
    file, whole = tmp_path / "patch.safetensors", tmp_path / "whole.safetensors"
    save_patch(network, file, body, changing)
    save_checkpoint(network, whole)
    assert set(read_tensors(file)[0]) == NORM | {
        "backbone.after.running_mean", "backbone.after.bias", "head.weight", "head.bias",
    }  # fmt: skip
    assert _same(load_patch(file, body), load_checkpoint(whole))


def test_private_modules_are_in_the_patch(tmp_path: Path) -> None:
    network, body = _network({"a": 2, "b": 3})
    network.private(["norm"])
    _scales_and_biases(network)
    changing = may_change(network)
    assert {"private.a.norm.weight", "private.b.norm.running_var"} <= changing
    _move(network, changing)
    file, whole = tmp_path / "patch.safetensors", tmp_path / "whole.safetensors"
    save_patch(network, file, body, changing)
    save_checkpoint(network, whole)
    tensors, facts = read_tensors(file)
    assert not [n for n in tensors if n.startswith(("backbone.conv", "backbone.other"))]
    assert facts["gone"] == sorted(n.removeprefix("backbone.") for n in MOVING)
    assert facts["heads"] == {"a": [2, 4], "b": [3, 4]}
    assert _same(load_patch(file, body), load_checkpoint(whole))


class Wrapped(nn.Module):
    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.added = nn.Conv2d(4, 4, 1)
        self.conv = conv

    def forward(self, images: Tensor) -> Tensor:
        return self.conv(self.added(images))


def test_what_only_moved_into_another_module_is_not_in_the_patch(tmp_path: Path) -> None:
    network, body = _network()
    network.backbone.other = Wrapped(network.backbone.other)
    changing = may_change(network)
    assert changing == {f"backbone.other.added.{n}" for n in ("weight", "bias")}
    _move(network, changing)
    file, whole = tmp_path / "patch.safetensors", tmp_path / "whole.safetensors"
    save_patch(network, file, body, changing)
    save_checkpoint(network, whole)
    tensors, facts = read_tensors(file)
    assert set(tensors) == changing | {"head.weight", "head.bias"}
    assert facts["moved"] == {f"other.conv.{n}": f"other.{n}" for n in ("weight", "bias")}
    assert _same(load_patch(file, body), load_checkpoint(whole))


def test_where_everything_trains_a_patch_is_refused() -> None:
    network, _ = _network()
    network.requires_grad_(True)
    message = "a patch of toy would be the whole network: all of its parameters train"
    with pytest.raises(UserError, match=message):
        may_change(network)
    network.backbone.conv.bias.requires_grad_(False)
    assert "backbone.conv.bias" not in may_change(network)


def test_a_patch_is_laid_over_its_own_body_alone(tmp_path: Path) -> None:
    network, body = _network()
    file, whole = tmp_path / "patch.safetensors", tmp_path / "whole.safetensors"
    digest = save_patch(network, file, body, frozenset(NORM))
    save_checkpoint(network, whole)
    other = Body({n: v + 1 for n, v in body.state.items()}, "0" * 64)
    wrong = f"belongs to a body whose state has the SHA-256 {body.sha256[:12]}…, and is laid over"
    with pytest.raises(WeightsError, match=re.escape(wrong)):
        load_patch(file, other, digest)
    with pytest.raises(WeightsError, match="is not a patch"):
        load_patch(whole, body)
    with pytest.raises(WeightsError, match="is a patch, and no checkpoint"):
        load_checkpoint(file)
    tensors, facts = read_tensors(file)
    write_tensors(file, {n: t + 1 for n, t in tensors.items()}, facts)
    with pytest.raises(WeightsError, match="is not the file that was written"):
        load_patch(file, body, digest)
