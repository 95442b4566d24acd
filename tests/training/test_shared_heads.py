"""Tasks that share one head: one module, drawn, trained, counted, penalised and saved once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy

from bench.data.streams import Stream
from bench.errors import UserError
from bench.models.checkpoint import load_checkpoint, save_checkpoint
from bench.models.network import Network
from bench.parts.compose import compose
from bench.parts.objectives.classification import Classification
from bench.parts.penalties.l2 import L2
from bench.spec.recipe import SGD, Image, Optimizer
from bench.spec.seeds import stream_seed
from bench.spec.work import Train
from bench.training.execute import execute
from bench.training.loss import Asked
from bench.training.norms import counts
from bench.training.optimizer import build_optimizer
from bench.training.task_data import load_task
from bench.training.train_cell import build_network
from tests.training.conftest import (
    CLASSES,
    RECIPE,
    Build,
    ToyBackbone,
    ToyBatches,
    left,
    loss_of,
    task,
)

# The owner comes last by name.
SHARED = {
    "large": task(head="small"),
    "other": task("stripes"),
    "small": task(image=Image(resize=28, size=24, normalise="half")),
}
TOYS = {"a": Asked(Classification(), 1.0), "b": Asked(Classification(), 3.0)}


def _network() -> Network:
    torch.manual_seed(1)
    widths = {"a": CLASSES, "b": CLASSES, "c": 2}
    network = Network(ToyBackbone(), widths, shared={"a": "b"}, name="toy").double()
    for head in network.heads.values():
        torch.nn.init.normal_(head.weight)
    return network


def test_a_shared_head_is_drawn_once_by_its_owners_stream_and_saved_once(job: Build) -> None:
    made = job(RECIPE, tasks=SHARED, keep={"checkpoint@start"}, seed=4)
    outcome = execute(made)
    path = left(made, outcome, "checkpoint@start").path
    heads = {name for name in load_file(path) if name.startswith("head.")}
    assert heads == {f"head.{task}.{n}" for task in ("small", "other") for n in ("weight", "bias")}
    found = load_checkpoint(path).heads
    features = found["small"]["weight"].shape[1]
    draw = Stream(stream_seed(4, "head", "small", "noise"))
    expected = 0.01 * draw.normal(CLASSES * features).reshape(CLASSES, features)
    for name in ("small", "large"):
        np.testing.assert_array_equal(found[name]["weight"], expected.astype(np.float32))
    assert found["other"]["weight"].shape[0] == 2
    assert outcome.metrics["large/head/norm"] == outcome.metrics["small/head/norm"]
    # Only what is one task's alone is private: the head of `other`.
    assert outcome.metrics["parameters/private"] == 2 * features + 2


def test_both_tasks_train_the_head_that_they_share() -> None:
    network = _network()
    assert network.heads["a"] is network.heads["b"]
    batches = {"a": ToyBatches(3).batch(0), "b": ToyBatches(3, first=50).batch(0)}
    batches = {name: (inputs.double(), targets) for name, (inputs, targets) in batches.items()}
    loss_of(network, tasks=TOYS).terms(batches).sum().backward()
    weight = network.heads["b"].weight
    expected = torch.zeros_like(weight)
    for name, share in (("a", 0.25), ("b", 0.75)):
        inputs, targets = batches[name]
        alone = cross_entropy(network(inputs, task=name).logits, targets)
        expected += share * torch.autograd.grad(alone, weight)[0]
    torch.testing.assert_close(weight.grad, expected, rtol=1e-12, atol=1e-15)


def test_a_shared_head_is_counted_updated_and_penalised_once() -> None:
    network = _network()
    body = sum(p.numel() for p in network.backbone.parameters())
    assert counts(network) == {
        "parameters/trained": body + (5 + 1) * (CLASSES + 2),
        "parameters/private": (5 + 1) * 2,
        "parameters/total": body + (5 + 1) * (CLASSES + 2),
    }
    optimizer = build_optimizer(Optimizer(sgd=SGD(lr=0.1)), network)
    assert [len(group["params"]) for group in optimizer.param_groups] == [4, 4]
    # Weights 1 and 3: as the shared backbone, the head is penalised as if there were one task.
    batches = {"a": ToyBatches(3).batch(0), "b": ToyBatches(3, first=50).batch(0)}
    batches = {name: (inputs.double(), targets) for name, (inputs, targets) in batches.items()}
    terms = loss_of(network, {"l2": L2(weight=0.5)}, tasks=TOYS).terms(batches)
    terms[-1].backward()
    for parameter in (network.heads["a"].weight, network.backbone.conv.weight):
        torch.testing.assert_close(parameter.grad, 0.5 * parameter.detach(), rtol=1e-12, atol=0)


def test_a_checkpoint_of_a_shared_head_loads_again(tmp_path: Path) -> None:
    network, file = _network(), tmp_path / "checkpoint.safetensors"
    save_checkpoint(network, file)
    other = _network()
    for parameter in other.parameters():
        torch.nn.init.zeros_(parameter)
    other.load_state_dict(load_file(file))
    inputs = ToyBatches(3).batch(0)[0].double()
    for name in network.tasks:
        assert torch.equal(network(inputs, task=name).logits, other(inputs, task=name).logits)
    found = load_checkpoint(file)
    assert set(found.heads) == {"a", "b", "c"}
    assert torch.equal(found.heads["a"]["weight"], network.heads["b"].weight)


def test_a_kept_head_that_is_shared_is_its_owners(job: Build) -> None:
    made = job(RECIPE.model_copy(update={"head": "kept"}), tasks=SHARED)
    work = made.cell.work
    assert isinstance(work, Train)
    tasks = {n: load_task(t, 0, made.resources, recipe=work.recipe) for n, t in work.tasks.items()}
    draw = torch.Generator().manual_seed(0)

    def head(outputs: int) -> dict[str, torch.Tensor]:
        return {"weight": torch.randn(outputs, 5, generator=draw), "bias": torch.zeros(outputs)}

    class Loaded:
        module = ToyBackbone()
        heads = {"small": head(CLASSES), "other": head(2)}
        trainings = 1
        source = "stage"

    network = build_network(Loaded(), tasks, compose(work), work, 0)  # type: ignore[arg-type]
    assert network.heads["large"] is network.heads["small"]
    assert torch.equal(network.heads["large"].weight, Loaded.heads["small"]["weight"])


@pytest.mark.parametrize(
    ("shared", "message"),
    [
        ({"a": "c"}, "the task a needs 3 outputs, and the head of c, which it is to use, has 2"),
        ({"a": "b", "b": "a"}, "the task a cannot use the head of b, which has none of its own"),
        ({"a": "d"}, "the task a cannot use the head of d"),
    ],
)
def test_a_head_that_cannot_be_shared_is_an_error(shared: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Network(ToyBackbone(), {"a": 3, "b": 3, "c": 2}, shared=shared, name="toy")
