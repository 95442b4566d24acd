from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from torch import Tensor

from bench.data.prepare import prepare
from bench.data.streams import Stream
from bench.models.architecture import create_backbone
from bench.models.checkpoint import load_checkpoint
from bench.models.network import Network
from bench.parts.kinds import Objective, Penalty, Step
from bench.parts.objectives.classification import Classification
from bench.parts.patches.private_normalisation import PrivateNormalisation
from bench.parts.penalties.l2 import L2
from bench.parts.trainables.all import All
from bench.parts.updates.gradient import Gradient
from bench.scheduling.job import Job
from bench.spec.cell import Resources
from bench.spec.metrics import declared_curves, declared_metrics
from bench.spec.parts import find_part
from bench.spec.recipe import SGD, Anytime, Augmentation, Optimizer, Recipe
from bench.spec.seeds import stream_seed
from bench.training.curves import CurveBook
from bench.training.execute import execute
from bench.training.finite import NotANumber
from bench.training.loop import train
from bench.training.loss import Asked, Batch, Loss
from bench.training.monitor import Monitor, Scores
from bench.training.norms import counts
from bench.training.optimizer import build_optimizer
from bench.training.selection import BestState
from tests.training.conftest import (
    CLASSES,
    IMAGE,
    RECIPE,
    STRIPES,
    Build,
    ToyBatches,
    left,
    loss_of,
    task,
    toy_network,
    use,
)

TWO = {"colours": task(), "stripes": task("stripes", weight=3.0)}
TOYS = {"a": Asked(Classification(), 1.0), "b": Asked(Classification(), 3.0)}
WIDTHS = {"a": 3, "b": 2}
SCORES = ("top1", "top5", "mean_class_accuracy", "loss")


def _toy_batches() -> dict[str, Batch]:
    return {"a": ToyBatches(3).batch(0), "b": ToyBatches(2, first=50).batch(0)}


def test_metrics_and_curves_carry_their_tasks_name(job: Build) -> None:
    made = job(RECIPE, {"l2": {}}, tasks=TWO)
    outcome = execute(made)
    own = {f"{name}/test/{score}" for name in TWO for score in SCORES}
    assert set(outcome.metrics) == own | {
        "colours/head/norm", "stripes/head/norm", "features/distance", "train/gradients",
        "parameters/trained", "parameters/private", "parameters/total",
    }  # fmt: skip
    assert set(outcome.curves) == {
        "train/loss", "train/learning_rate", "penalty/l2",
        "colours/train/cross_entropy", "stripes/train/cross_entropy",
    }  # fmt: skip
    facts = outcome.provenance.data
    assert (facts["colours/classes"], facts["stripes/classes"]) == (CLASSES, STRIPES)
    assert (facts["colours/test_images"], facts["stripes/test_images"]) == (12, 6)
    assert facts["colours/dataset"] != facts["stripes/dataset"]


ANYTIME = RECIPE.model_copy(update={"validation": 0.3, "anytime": Anytime()})
WATCHED = RECIPE.model_copy(
    update={"validation": 0.3, "validate_every": 2, "selection": "best-on-test"}
)
VECTORS = Recipe(steps=4, batch_size=8, image=None, augmentation=None)


@pytest.mark.parametrize(
    "settings",
    [
        {"recipe": RECIPE, "penalties": {"l2": {}, "bss": {}}},
        {"recipe": ANYTIME, "tasks": TWO},
        {"recipe": WATCHED, "tasks": TWO, "patches": ["private-normalisation"]},
        {
            "recipe": VECTORS,
            "network": use("mlp", widths=(4,)),
            "tasks": {"": task("numbers", "regression")},
        },
    ],
)
def test_a_cell_records_what_it_declares_and_nothing_else(
    job: Build, settings: dict[str, Any]
) -> None:
    made = job(**settings)
    outcome = execute(made)
    assert set(outcome.metrics) == set(declared_metrics(made.cell, find_part, ()))
    assert set(outcome.curves) == set(declared_curves(made.cell, find_part, ()))


# -- heads, batches ------------------------------------------------------------------------------


def test_each_task_has_a_head_from_a_stream_of_its_own(job: Build) -> None:
    made = job(RECIPE, tasks={"one": task(), "other": task()}, keep={"checkpoint@start"}, seed=4)
    heads = load_checkpoint(left(made, execute(made), "checkpoint@start").path).heads
    for name in ("one", "other"):
        draw = Stream(stream_seed(4, "head", name, "noise"))
        features = heads[name]["weight"].shape[1]
        expected = 0.01 * draw.normal(CLASSES * features).reshape(CLASSES, features)
        np.testing.assert_array_equal(heads[name]["weight"], expected.astype(np.float32))
        assert not heads[name]["bias"].any()
    assert not torch.equal(heads["one"]["weight"], heads["other"]["weight"])


def _batches_seen(made: Job, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Batch]]:
    seen: dict[str, list[Batch]] = {name: [] for name in made.cell.tasks}
    terms = Loss.terms

    def spy(self: Loss, batches: Mapping[str, Batch], **draws: Any) -> Tensor:
        for name, (inputs, targets) in batches.items():
            seen[name].append((inputs.clone(), targets.clone()))
        return terms(self, batches, **draws)

    with monkeypatch.context() as patch:
        patch.setattr(Loss, "terms", spy)
        execute(made)
    return seen


def test_at_one_seed_a_task_has_the_batches_that_it_has_alone(
    job: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = _batches_seen(job(RECIPE, {"l2": {}}, tasks=TWO, seed=2), monkeypatch)
    for name in TWO:
        alone = _batches_seen(job(RECIPE, tasks={"": TWO[name]}, seed=2), monkeypatch)
        for (ours, x), (theirs, y) in zip(together[name], alone[""], strict=True):
            assert torch.equal(ours, theirs)
            assert torch.equal(x, y)
    other = _batches_seen(job(RECIPE, tasks=TWO, seed=3), monkeypatch)
    for name in TWO:
        assert not torch.equal(other[name][0][0], together[name][0][0])


# -- the loss ------------------------------------------------------------------------------------


class Features(Penalty):
    """The batch's features, squared."""

    def __call__(self, step: Step) -> Tensor:
        return step.features.square().sum()


def _cross_entropy(network: Network, task: str, batch: Batch) -> float:
    logits = network(batch[0], task=task).logits.detach().double().numpy()
    labels = batch[1].numpy()
    return float(-log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean())


def test_the_loss_is_the_mean_over_tasks_by_their_weights() -> None:
    network, batches = toy_network(widths=WIDTHS), _toy_batches()
    loss = loss_of(network, {"features": Features()}, tasks=TOYS)
    terms = loss.terms(batches)
    assert loss.names == ("a/cross-entropy", "b/cross-entropy", "features")
    losses = {name: _cross_entropy(network, name, batches[name]) for name in TOYS}
    squares = {
        name: network(batches[name][0], task=name).features.detach().double().square().sum().item()
        for name in TOYS
    }
    assert terms.tolist() == pytest.approx(
        [losses["a"] / 4, losses["b"] * 3 / 4, (squares["a"] + 3 * squares["b"]) / 4], rel=1e-5
    )


def test_equal_weights_of_any_size_give_the_same_loss() -> None:
    network, batches = toy_network(widths=WIDTHS), _toy_batches()
    for weight in (1.0, 8.0):
        tasks = {name: Asked(Classification(), weight) for name in WIDTHS}
        total = loss_of(network, tasks=tasks).terms(batches).sum().item()
        each = [_cross_entropy(network, name, batches[name]) for name in WIDTHS]
        assert total == pytest.approx(sum(each) / 2, rel=1e-6)


def test_a_penalty_on_parameters_counts_once_however_many_tasks_there_are() -> None:
    one, three = toy_network(), toy_network(widths={"a": CLASSES, "b": CLASSES, "c": CLASSES})
    for head in three.heads.values():
        head.load_state_dict(one.head.state_dict())
    tasks = {name: Asked(Classification(), w) for name, w in (("a", 1.0), ("b", 2.0), ("c", 5.0))}
    penalties = {"l2": L2(weight=0.5)}
    batch = ToyBatches().batch(0)
    alone = loss_of(one, penalties).terms({"": batch})
    together = loss_of(three, penalties, tasks=tasks).terms(dict.fromkeys(tasks, batch))
    exact = 0.25 * sum(float(p.detach().double().square().sum()) for p in one.parameters())
    assert alone[-1].item() == pytest.approx(exact, rel=1e-6)
    assert together[-1].item() == pytest.approx(exact, rel=1e-6)
    for terms, network in ((alone, one), (together, three)):
        network.zero_grad()
        terms[-1].backward()
        torch.testing.assert_close(
            network.backbone.conv.weight.grad, 0.5 * network.backbone.conv.weight.detach()
        )


def test_a_curve_of_a_task_is_its_own_loss_and_not_its_part_of_the_sum() -> None:
    network, batches, book = toy_network(widths=WIDTHS), _toy_batches(), CurveBook()
    still = Recipe(steps=2, optimizer=Optimizer(sgd=SGD(lr=0.0)))
    drawn = {"a": ToyBatches(3), "b": ToyBatches(2, first=50)}
    train(
        network, loss_of(network, tasks=TOYS), still, drawn, book,
        trainable=All(), update=Gradient(),
    )  # fmt: skip
    curves = book.curves()
    each = {n: _cross_entropy(toy_network(widths=WIDTHS), n, batches[n]) for n in WIDTHS}
    for name, expected in each.items():
        assert curves[f"{name}/train/cross_entropy"].value[0] == pytest.approx(expected, rel=1e-5)
    assert curves["train/loss"].value[0] == pytest.approx((each["a"] + 3 * each["b"]) / 4, rel=1e-5)


# -- modules of a task's own ---------------------------------------------------------------------


class Nothing(Objective):
    """A loss without a gradient."""

    metrics = {"zero": ("", "lowest")}
    score = "zero"
    term = "nothing"

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs * 0).sum()


def test_what_a_task_trains_in_its_own_modules_does_not_move_anothers() -> None:
    network = toy_network(widths=WIDTHS)
    PrivateNormalisation()(network)
    start = {name: value.clone() for name, value in network.state_dict().items()}
    tasks = {"a": Asked(Classification()), "b": Asked(Nothing())}
    drawn = {"a": ToyBatches(3), "b": ToyBatches(2, first=50)}
    recipe = Recipe(steps=3, optimizer=Optimizer(sgd=SGD(lr=0.5, momentum=0.9)))
    train(
        network, loss_of(network, tasks=tasks), recipe, drawn, CurveBook(),
        trainable=All(), update=Gradient(),
    )  # fmt: skip
    moved = {n for n, value in network.state_dict().items() if not torch.equal(value, start[n])}
    learnt = {"weight", "bias"}
    assert {f"private.a.norm.{n}" for n in learnt} <= moved
    assert not {f"private.b.norm.{n}" for n in learnt} & moved
    assert not {f"head.b.{n}" for n in learnt} & moved
    own = [network.state_dict()[f"private.{n}.norm.num_batches_tracked"].item() for n in "ab"]
    assert own == [3, 3]
    assert not torch.equal(
        network.state_dict()["private.a.norm.running_mean"],
        network.state_dict()["private.b.norm.running_mean"],
    )


def _trained(
    affine: bool, batches: Mapping[str, Any], steps: int = 3
) -> tuple[Network, dict[str, Tensor]]:
    """Train in float64 with private statistics; return the network, and how it began."""
    network = toy_network(widths=WIDTHS).double()
    PrivateNormalisation(affine=affine)(network)
    start = {name: value.clone() for name, value in network.state_dict().items()}
    recipe = Recipe(steps=steps, optimizer=Optimizer(sgd=SGD(lr=0.1, momentum=0.9)))
    train(
        network, loss_of(network, tasks=TOYS), recipe, batches, CurveBook(),
        trainable=All(), update=Gradient(),
    )  # fmt: skip
    return network, start


class Doubled(ToyBatches):
    """In float64, moved by a number."""

    def __init__(self, classes: int, first: int = 0, moved: float = 0.0) -> None:
        super().__init__(classes, first)
        self._moved = moved

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        inputs, targets = super().batch(step)
        return inputs.double() * (1 + self._moved) + self._moved, targets


def _own(network: Network, task: str) -> dict[str, Tensor]:
    own = f"private.{task}.norm."
    return {n.removeprefix(own): v for n, v in network.state_dict().items() if n.startswith(own)}


@pytest.mark.parametrize("affine", [True, False])
def test_one_tasks_batches_do_not_move_anothers_statistics(affine: bool) -> None:
    # One step, so that the shared convolution is the same when the statistics are taken.
    one, other = (
        _trained(affine, {"a": Doubled(3), "b": Doubled(2, 50, moved)}, steps=1)[0]
        for moved in (0.0, 2.0)
    )
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    for name in statistics:
        assert torch.equal(_own(one, "a")[name], _own(other, "a")[name])
    assert not torch.equal(_own(one, "b")["running_mean"], _own(other, "b")["running_mean"])
    # By hand: a tenth of the way from 0 to the batch's mean, of the first convolution's outputs.
    network = toy_network(widths=WIDTHS).double()
    for name, batch in (("a", Doubled(3)), ("b", Doubled(2, 50))):
        with torch.no_grad():
            values = network.backbone.conv(batch.batch(0)[0]).transpose(0, 1).flatten(1)
        torch.testing.assert_close(_own(one, name)["running_mean"], 0.1 * values.mean(1))
        torch.testing.assert_close(_own(one, name)["running_var"], 0.9 + 0.1 * values.var(1))
    for name in ("weight", "bias"):
        apart = torch.equal(_own(one, "a")[name], _own(other, "a")[name])
        assert apart == affine  # shared ones learn from both


def test_private_statistics_alone_share_scales_and_biases() -> None:
    batches = {"a": Doubled(3), "b": Doubled(2, 50)}
    network, start = _trained(False, batches)
    with network.as_task("a") as backbone:
        ours = backbone.norm
    with network.as_task("b") as backbone:
        theirs = backbone.norm
    for name in ("weight", "bias"):
        assert getattr(ours, name) is getattr(theirs, name)
        assert not torch.equal(getattr(ours, name), start[f"private.a.norm.{name}"])
    assert not torch.equal(ours.running_mean, theirs.running_mean)
    heads = (5 + 1) * sum(WIDTHS.values())
    body = sum(p.numel() for p in toy_network().backbone.parameters())
    assert counts(network) == {
        "parameters/trained": body + heads,
        "parameters/private": heads,
        "parameters/total": body + heads,
    }
    optimizer = build_optimizer(Optimizer(sgd=SGD(lr=0.1)), network)
    assert [len(group["params"]) for group in optimizer.param_groups] == [4, 4]
    # A step on shared scales is by the sum of both tasks' gradients.
    network = toy_network(widths=WIDTHS).double()
    PrivateNormalisation(affine=False)(network)
    drawn = {name: each.batch(0) for name, each in batches.items()}
    loss_of(network, tasks=TOYS).terms(drawn).sum().backward()
    with network.as_task("a") as backbone:
        scale = backbone.norm.weight
    expected = torch.zeros_like(scale)
    for name, share in (("a", 0.25), ("b", 0.75)):
        inputs, targets = drawn[name]
        alone = torch.nn.functional.cross_entropy(network(inputs, task=name).logits, targets)
        expected += share * torch.autograd.grad(alone, scale)[0]
    torch.testing.assert_close(scale.grad, expected, rtol=1e-12, atol=1e-15)


def test_copies_and_states_of_tied_scales_stay_tied() -> None:
    network = toy_network(widths=WIDTHS)
    PrivateNormalisation(affine=False)(network)
    copied = copy.deepcopy(network).double().to(memory_format=torch.channels_last)
    copied.load_state_dict(network.state_dict())
    own = [copied.own_parameters(task)["private.norm.weight"] for task in WIDTHS]
    assert own[0] is own[1]
    with copied.as_task("a") as backbone:
        assert backbone.norm.weight is own[0]


class Broken(Doubled):
    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        inputs, targets = super().batch(step)
        return (inputs * torch.nan if step == 1 else inputs), targets


@pytest.mark.parametrize("task", ["a", "b"])
@pytest.mark.parametrize("affine", [True, False])
def test_a_failure_names_the_task(task: str, affine: bool) -> None:
    batches = {"a": Doubled(3), "b": Doubled(2, 50)}
    batches |= {task: Broken(WIDTHS[task])}
    with pytest.raises(NotANumber) as caught:
        _trained(affine, batches)
    assert (caught.value.term, caught.value.step) == (f"{task}/cross-entropy", 2)


def test_a_shared_normalisation_sees_the_batches_of_all_tasks() -> None:
    network = toy_network(widths=WIDTHS)
    train(
        network, loss_of(network, tasks=TOYS), Recipe(steps=3),
        {"a": ToyBatches(3), "b": ToyBatches(2)}, CurveBook(), trainable=All(), update=Gradient(),
    )  # fmt: skip
    assert network.backbone.norm.num_batches_tracked == 6


@pytest.mark.parametrize("patches", [(), ("private-normalisation",)])
def test_each_task_is_scored_by_its_own_modules_and_head(
    job: Build, resources: Resources, patches: tuple[str, ...]
) -> None:
    recipe = RECIPE.model_copy(
        update={"steps": 12, "augmentation": Augmentation(crop="centre", flip=False)}
    )
    made = job(recipe, tasks=TWO, patches=patches, keep={"checkpoint"})
    outcome = execute(made)
    checkpoint = load_checkpoint(left(made, outcome).path)
    assert bool(checkpoint.private) == bool(patches)
    for name, each in TWO.items():
        backbone = create_backbone("test_resnet").eval()
        backbone.load_state_dict(checkpoint.backbone_of(name))
        head = checkpoint.heads[name]
        test = prepare(each.dataset, IMAGE, resources).test
        pixels = torch.from_numpy(np.ascontiguousarray(test.inputs[:, 2:34, 2:34]))
        with torch.no_grad():
            features = backbone((pixels.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5)
            logits = features @ head["weight"].T + head["bias"]
        labels = torch.from_numpy(test.targets)
        assert outcome.metrics[f"{name}/test/top1"] == (logits.argmax(1) == labels).numpy().mean()
        loss = torch.nn.functional.cross_entropy(logits, labels).item()
        assert outcome.metrics[f"{name}/test/loss"] == pytest.approx(loss, rel=1e-4)
        # A head's norm is its own.
        norm = head["weight"].double().norm().item()
        assert outcome.metrics[f"{name}/head/norm"] == pytest.approx(norm, rel=1e-12)
    sizes = {n: v for n, v in outcome.metrics.items() if n.startswith("parameters/")}
    parameters = sum(p.numel() for p in create_backbone("test_resnet").parameters())
    heads = sum(t.numel() for head in checkpoint.heads.values() for t in head.values())
    normalisation = sum(
        t.numel() for n, t in (checkpoint.private.get("stripes") or {}).items()
        if n.endswith(("weight", "bias"))
    )  # fmt: skip
    assert sizes["parameters/private"] == heads + 2 * normalisation
    assert sizes["parameters/total"] == parameters + heads + normalisation
    assert sizes["parameters/trained"] == sizes["parameters/total"]


# -- choosing ------------------------------------------------------------------------------------


def test_states_are_chosen_by_the_mean_of_the_tasks_scores() -> None:
    recipe = Recipe(steps=3, validate_every=1, validation=0.5, selection="best-on-validation")
    scores = {"a": [0.9, 0.2, 0.5], "b": [0.1, 0.6, 0.6]}  # means: 0.5, 0.4, 0.55
    validation = Scores(
        validation=lambda network, step: {
            f"{name}/validation/top1": values[step - 1] for name, values in scores.items()
        },
        objectives={name: Classification() for name in scores},
    )
    network, book = toy_network(widths=WIDTHS), CurveBook()
    monitor = Monitor(network, recipe, book, validation)
    for step in range(4):
        monitor.after(step)
    assert monitor.report() == 3
    for name, values in scores.items():
        assert book.curves()[f"{name}/validation/top1"].value == tuple(values)


def test_the_selected_state_of_several_tasks_is_the_one_reported(job: Build) -> None:
    recipe = RECIPE.model_copy(
        update={
            "steps": 6, "validation": 0.3, "validate_every": 1, "selection": "best-on-validation",
        }
    )  # fmt: skip
    outcome = execute(job(recipe, tasks=TWO))
    curves = [outcome.curves[f"{name}/validation/top1"] for name in TWO]
    means = [np.mean(values) for values in zip(*(c.value for c in curves), strict=True)]
    best = int(np.argmax(means))
    assert outcome.provenance.data["selected_step"] == curves[0].at[best]
    for name, curve in zip(TWO, curves, strict=True):
        assert outcome.metrics[f"{name}/validation/top1"] == curve.value[best]


def test_the_best_state_comes_back_with_every_tasks_own_modules() -> None:
    network, best = toy_network(widths=WIDTHS), BestState()
    PrivateNormalisation()(network)
    best.offer(network, 1, 0.5)
    kept = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1)
    best.put_into(network)
    for name, value in network.state_dict().items():
        assert torch.equal(value, kept[name]), name
    for strange in ("private.a.norm.other", "private.c.norm.weight", "head.c.weight"):
        with pytest.raises(RuntimeError, match=strange):
            network.load_state_dict({**kept, strange: torch.zeros(1)})
    with pytest.raises(RuntimeError, match=r"Missing.*private\.a\.norm\.weight"):
        network.load_state_dict({n: v for n, v in kept.items() if n != "private.a.norm.weight"})
