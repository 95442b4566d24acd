"""The head that a start came with: what penalties see of it, how it trains, what is left of it."""

from __future__ import annotations

import math

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import linear

from bench.errors import WeightsError
from bench.models.checkpoint import load_checkpoint
from bench.parts.kinds import Penalty, Step
from bench.spec.cell import CHECKPOINT, START
from bench.spec.recipe import SGD, Optimizer
from bench.spec.work import Measure, Start
from bench.training.execute import execute
from bench.training.loss import feature_parameters
from bench.training.norms import feature_distance, parameters_of
from bench.training.optimizer import build_optimizer
from tests.training.conftest import (
    CLASSES,
    IMAGE,
    RECIPE,
    Build,
    ToyBatches,
    job_of,
    left,
    loss_of,
    task,
    toy_network,
    use,
)

SEEN: list[Step] = []
OWN = {"weight": torch.arange(20.0).reshape(4, 5) / 20, "bias": torch.tensor([0.0, 1.0, 0.0, 0.0])}


class Looks(Penalty):
    """Keeps the step it was shown."""

    needs = ("source_head", "source_logits")

    def __call__(self, step: Step) -> Tensor:
        SEEN.append(step)
        return linear(step.features, step.backbone["source_head.weight"]).square().sum()


def test_penalties_see_it_as_it_is_and_what_the_start_said():
    SEEN.clear()
    network = toy_network().train()
    network.keep_source_head(OWN)
    start = toy_network().eval()
    loss = loss_of(network, {"looks": Looks()})
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 1
    inputs, targets = ToyBatches().batch(0)
    loss.terms({"": (inputs, targets)}).sum().backward()
    (step,) = SEEN
    torch.testing.assert_close(step.backbone["source_head.weight"].detach(), OWN["weight"] + 1)
    torch.testing.assert_close(step.start["source_head.weight"], OWN["weight"])
    expected = linear(start(inputs).features, **OWN)
    torch.testing.assert_close(step.source_logits, expected.detach())
    assert network.source_head is not None
    assert network.source_head.weight.grad.any()
    # It scores nothing: the outputs are the new head's.
    assert step.logits.shape[1] == CLASSES


def test_it_trains_by_the_backbones_rate_and_freezes_with_it():
    network = toy_network()
    network.keep_source_head(OWN)
    optimizer = build_optimizer(Optimizer(sgd=SGD(lr=1.0, backbone_lr=0.1)), network)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert rates[id(network.source_head.weight)] == 0.1
    assert rates[id(network.heads[""].weight)] == 1.0
    network.body().requires_grad_(False)
    assert not network.source_head.weight.requires_grad


def test_it_counts_neither_for_how_far_features_moved_nor_for_gradients():
    network = toy_network()
    network.keep_source_head(OWN)
    start = parameters_of(network)
    body = dict(network.backbone.named_parameters())
    assert set(start) == set(body) == set(feature_parameters(network))
    with torch.no_grad():
        network.source_head.weight.add_(1)
    assert feature_distance(network, start) == 0
    moved = next(iter(body.values()))
    with torch.no_grad():
        moved.add_(1)
    assert feature_distance(network, start) == pytest.approx(math.sqrt(moved.numel()))


def test_co_tuning_trains_it_and_children_start_as_from_any_training(
    job: Build, source, resources, tmp_path
):
    measured = Measure(
        use("category-relationship"), {START: Start("test_resnet", "stage")}, task(image=IMAGE)
    )
    # A start whose head tells nothing has no relationship: it is one of a trained network.
    first = job(RECIPE, weights="stage", parents={START: source}, keep=[CHECKPOINT])
    stage = left(first, execute(first))
    measuring = job_of(measured, tmp_path, resources, parents={START: stage})
    arrays = left(measuring, execute(measuring), "arrays")
    work = job(
        RECIPE,
        {"co-tuning": {}, "lwf": {}},
        weights="stage",
        parents={START: stage, "category-relationship": arrays},
        keep=[f"{CHECKPOINT}@start", CHECKPOINT],
    )
    done = execute(work)
    assert {f"penalty/{name}" for name in ("co-tuning", "lwf")} <= set(done.curves)
    began, ended = (
        load_file(work.folder / done.artifacts[name].file)
        for name in (f"{CHECKPOINT}@start", CHECKPOINT)
    )
    given = load_checkpoint(stage.path).heads[""]
    assert began["source_head.weight"].equal(given["weight"])
    assert not ended["source_head.weight"].equal(given["weight"])
    checkpoint = load_checkpoint(work.folder / done.artifacts[CHECKPOINT].file)
    assert not any("source_head" in name for name in checkpoint.backbone)
    assert checkpoint.heads[""]["weight"].shape == given["weight"].shape
    child = job(RECIPE, {"lwf": {}}, weights="stage", parents={START: left(work, done)})
    assert execute(child).status == "done"


def test_weights_without_a_head_are_an_error(job: Build):
    with pytest.raises(WeightsError, match=r"penalty lwf needs the head of the start.*none"):
        execute(job(RECIPE, {"lwf": {}}))
