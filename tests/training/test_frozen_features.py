"""Heads trained on features computed once get the numbers of those that run the backbone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.errors import UserError
from bench.models.network import Features
from bench.models.weights import load_backbone
from bench.parts.compose import compose, load_network
from bench.records.record import Outcome
from bench.scheduling.job import Job
from bench.spec.metrics import declared_metrics
from bench.spec.parts import find_part
from bench.spec.recipe import SGD, Adam, Anytime, Augmentation, Evaluation, Optimizer, Recipe
from bench.spec.work import Train
from bench.training.execute import execute
from bench.training.frozen import FrozenBackbone
from bench.training.task_data import load_task
from bench.training.train_cell import build_network
from tests.training.conftest import RECIPE, Build, task, toy_network, use
from tests.training.in_another_process import bits

CENTRE = Augmentation(crop="centre", flip=False)
PLAIN = RECIPE.model_copy(update={"augmentation": CENTRE, "steps": 6})
PARTS = '''
"""Small networks, and an update that does what it must not."""
import torch
from torch import nn
from bench.parts import Architecture, Update, network, update


class Layers(nn.Module):
    num_features = 6

    def __init__(self, norm, drop):
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(3, 6, 5, stride=4), norm, drop

    def forward(self, images):
        maps = torch.tanh(self.norm(self.conv(images)))
        return nn.functional.dropout(maps.mean((2, 3)), self.drop.p, self.drop.training)


@network("small")
class Small(Architecture):
    """Batch normalisation with running statistics, and a dropout."""

    def build(self, input_shape):
        return Layers(nn.BatchNorm2d(6), nn.Dropout(0.4))


@network("drawing")
class Drawing(Architecture):
    """Drops out in evaluation mode too."""

    def build(self, input_shape):
        layers = Layers(nn.BatchNorm2d(6), nn.Dropout(0.4))
        layers.register_forward_hook(lambda m, a, out: nn.functional.dropout(out, 0.4))
        return layers


@network("by-the-batch")
class ByTheBatch(Architecture):
    """Normalises by the batch in evaluation mode too."""

    def build(self, input_shape):
        return Layers(nn.BatchNorm2d(6, track_running_stats=False), nn.Dropout(0.4))


@network("counting")
class Counting(Architecture):
    """Has a buffer that changes when it is run."""

    def build(self, input_shape):
        layers = Layers(nn.BatchNorm2d(6), nn.Dropout(0.4))
        layers.register_buffer("runs", torch.zeros(()))
        layers.register_forward_hook(lambda m, a, out: m.runs.add_(1) and None)
        return layers


@update("nudging")
class Nudging(Update):
    """Moves what does not train."""

    def begin(self, training):
        def step(gradient):
            gradient()
            for parameter in training.network.backbone.parameters():
                parameter.data.mul_(1.01)
            training.apply()

        return step
'''


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("parts") / "small.py"
    file.write_text(PARTS)
    return file


@pytest.fixture
def build(job: Build, plugin: Path) -> Build:
    """Return a builder of jobs that train a head on the small network, the features kept."""

    def of(recipe: Recipe = PLAIN, *, once: bool = True, **more: Any) -> Job:
        chosen = "computed-once" if once else "every-step"
        recipe = recipe.model_copy(update={"frozen_features": chosen})
        given = {"network": use("small"), "trainable": "head", "plugins": [plugin], **more}
        return job(recipe, **given)

    return of


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of tables of a cache that is empty."""
    monkeypatch.setenv("RETABLE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


def numbers(outcome: Outcome) -> dict[str, Any]:
    found = {name: [value] for name, value in outcome.metrics.items()}
    return found | {
        f"{name} {axis}": list(values)
        for name, curve in outcome.curves.items()
        for axis, values in (("at", curve.at), ("value", curve.value))
    }


def both(build: Build, recipe: Recipe, **more: Any) -> tuple[Outcome, Outcome]:
    return execute(build(recipe, once=False, **more)), execute(build(recipe, **more))


def settings_of(draw: st.DrawFn) -> tuple[Recipe, dict[str, Any]]:
    changed: dict[str, Any] = {
        "steps": draw(st.integers(1, 9)),
        "batch_size": draw(st.sampled_from([3, 6, 30, 45])),
        "batches": draw(st.sampled_from(["shuffled", "balanced"])),
        "precision": draw(st.sampled_from(["float32", "bfloat16"])),
        "channels_last": draw(st.booleans()),
        "head_bias": draw(st.booleans()),
        "evaluation": Evaluation(batch_size=draw(st.sampled_from([1, 5, 200]))),
        "optimizer": draw(
            st.sampled_from(
                [
                    Optimizer(sgd=SGD(lr=0.3, backbone_lr=0.1, momentum=0.9)),
                    Optimizer(adam=Adam(lr=0.01)),
                ]
            )
        ),
    }
    watched = draw(st.sampled_from(["no", "validated", "chosen", "anytime"]))
    if watched != "no":
        changed |= {"validation": draw(st.sampled_from([0.2, 1])), "validation_seed": 3}
    if watched == "anytime":
        changed["anytime"] = Anytime(gap=2)
    elif watched != "no":
        changed["validate_every"] = 2
    if watched == "chosen":
        changed["selection"] = "best-on-validation"
    penalties = draw(st.sampled_from([{}, {"l2": {"weight": 0.1}}, {"bss": {}, "l2-sp": {}}]))
    transforms = draw(st.sampled_from([(), (use("block-shuffle", block=8),)]))
    more = {
        "seed": draw(st.integers(0, 3)),
        "penalties": penalties,
        "tasks": {"": task(sampling_rate=draw(st.sampled_from([1.0, 0.7])), transforms=transforms)},
    }
    return PLAIN.model_copy(update=changed), more


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_training_gets_the_numbers_of_running_the_backbone(
    build: Build, data: st.DataObject
) -> None:
    recipe, more = data.draw(st.composite(settings_of)())
    running, once = (numbers(outcome) for outcome in both(build, recipe, **more))
    assert running.keys() == once.keys()
    for name, values in running.items():
        assert once[name] == pytest.approx(values, rel=1e-5, abs=1e-5), name


def test_a_network_of_timm_gets_the_same_bits_on_a_processor(build: Build, cache: Path) -> None:
    recipe = PLAIN.model_copy(
        update={"validation": 0.2, "validate_every": 3, "evaluation": Evaluation(batch_size=7)}
    )
    running, once = both(build, recipe, network="test_efficientnet", plugins=[])
    assert bits(once) == bits(running)
    # 30 rows to train on or to validate on; those held out; 12 to test.
    assert len(list(cache.glob("*/features.npy"))) == 3


def test_the_record_says_so_and_its_names_are_those_of_any_training(build: Build) -> None:
    running, once = both(build, PLAIN)
    assert once.provenance.data["features"].keys() == {"train", "test"}
    assert {k: v for k, v in once.provenance.data.items() if k != "features"} == dict(
        running.provenance.data
    )
    made = build(PLAIN)
    assert made.cell.settings["recipe"]["frozen_features"] == "computed-once"
    find = partial(find_part, plugins=made.resources.plugins)
    assert set(once.metrics) == set(declared_metrics(made.cell, find, ()))


def test_predictions_and_checkpoint_are_those_of_running(build: Build) -> None:
    keep = {"keep": ("checkpoint", "predictions")}
    running, once = both(build, PLAIN, **keep)
    assert bits(once)["artifacts"] == bits(running)["artifacts"]


def test_several_tasks_have_their_own_features(build: Build) -> None:
    tasks = {"a": task(), "b": task("stripes", weight=3.0)}
    running, once = both(build, PLAIN, tasks=tasks)
    assert bits(once) == bits(running)
    assert once.provenance.data["a/features"] != once.provenance.data["b/features"]


# -- shared, and never by cells of other features ------------------------------------------------


def test_the_backbone_is_run_once_for_all_rates_steps_and_penalties(
    build: Build, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = execute(build(PLAIN))

    def never(*args: object) -> Iterator[torch.Tensor]:
        raise AssertionError("the backbone is run again")

    monkeypatch.setattr(FrozenBackbone, "_features", never)
    other = PLAIN.model_copy(
        update={"steps": 9, "optimizer": Optimizer(sgd=SGD(lr=0.2)), "head_init": use("zeros")}
    )
    second = execute(build(other, penalties={"l2": {}}))
    assert second.provenance.data["features"] == first.provenance.data["features"]
    assert second.metrics["test/loss"] != first.metrics["test/loss"]
    with pytest.raises(AssertionError, match="again"):
        execute(build(PLAIN, seed=1))  # other random weights


def depends_on(job: Job) -> dict[str, Any]:
    """Return what a job's features are known by."""
    cell, work = job.cell, job.cell.work
    assert isinstance(work, Train)
    tasks = {
        n: load_task(t, cell.seed, job.resources, recipe=work.recipe) for n, t in work.tasks.items()
    }
    parts = compose(work, job.resources.plugins)
    loaded = load_backbone(
        load_network(work.network, job.resources.plugins),
        work.weights,
        seed=cell.seed,
        resources=job.resources,
        input_shape=(3, 32, 32),
        drawn_for=work.datasets,
    )
    network = build_network(loaded, tasks, parts, work, cell.seed)
    frozen = FrozenBackbone(job, network, parts.trainable)
    return frozen._depends_on("", tasks[""])


@pytest.mark.parametrize(
    ("recipe", "more", "named"),
    [
        ({}, {"seed": 1}, "backbone"),
        ({"precision": "bfloat16"}, {}, "precision"),
        ({"channels_last": False}, {}, "channels_last"),
        ({"image": RECIPE.image.model_copy(update={"normalise": "imagenet"})}, {}, "image"),
        ({}, {"threads": 2}, "machine"),
        ({}, {"tasks": {"": task(transforms=(use("block-shuffle", block=8),))}}, "transforms"),
        ({}, {"network": use("drawing")}, "network"),
    ],
)
def test_whatever_features_depend_on_is_in_their_name(
    build: Build, recipe: dict[str, Any], more: dict[str, Any], named: str
) -> None:
    changed = depends_on(build(PLAIN.model_copy(update=recipe), **more))
    assert changed[named] != depends_on(build(PLAIN))[named]


@pytest.mark.parametrize(
    ("recipe", "more"),
    [
        ({"optimizer": Optimizer(sgd=SGD(lr=0.2))}, {}),
        ({"steps": 3, "head_bias": False}, {"penalties": {"l2": {}}}),
    ],
)
def test_what_they_do_not_depend_on_is_not(
    build: Build, recipe: dict[str, Any], more: dict[str, Any]
) -> None:
    assert depends_on(build(PLAIN.model_copy(update=recipe), **more)) == depends_on(build(PLAIN))


def test_a_damaged_table_is_computed_again(build: Build, cache: Path) -> None:
    first = execute(build(PLAIN))
    for file in cache.glob("*/features.npy"):
        data = bytearray(file.read_bytes())
        data[-3] ^= 64
        file.write_bytes(data)
    assert bits(execute(build(PLAIN))) == bits(first)


def test_a_table_of_other_weights_under_our_name_is_not_used(build: Build, cache: Path) -> None:
    first = execute(build(PLAIN))
    ours = sorted(cache.glob("*/"))
    execute(build(PLAIN, seed=1))
    theirs = sorted(set(cache.glob("*/")) - set(ours))
    assert len(ours) == len(theirs) == 2
    for mine, other in zip(ours, theirs, strict=True):
        shutil.rmtree(mine)
        shutil.copytree(other, mine)
    assert bits(execute(build(PLAIN))) == bits(first)


# -- where it is refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"network": use("drawing")}, "other features in another batch"),
        ({"network": use("by-the-batch")}, "other features in another batch"),
        ({"network": use("counting")}, "not what it was before"),
        ({"update": "nudging"}, "not what it was before"),
        ({"trainable": "all"}, "more than the head trains"),
        ({"penalties": {"delta": {}}}, "looks at inner maps"),
    ],
)
def test_a_backbone_that_is_not_frozen_is_refused(
    build: Build, cache: Path, more: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        execute(build(PLAIN, **more))


@pytest.mark.parametrize("augmentation", [Augmentation(crop="centre"), Augmentation(flip=False)])
def test_random_augmentation_is_refused(build: Build, augmentation: Augmentation) -> None:
    with pytest.raises(UserError, match="augmentation of noise is random"):
        execute(build(PLAIN.model_copy(update={"augmentation": augmentation})))


@pytest.mark.parametrize("module", ["backbone.norm", "backbone"])
def test_a_module_in_training_mode_is_refused(
    build: Build, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    made = build(PLAIN)
    network = toy_network()

    class Half:
        def __call__(self, network: Any) -> None:
            network.body().requires_grad_(False).eval()
            network.get_submodule(module).training = True

    with pytest.raises(UserError, match="is in training mode"):
        FrozenBackbone(made, network, Half())

    class Thawed:
        def __call__(self, network: Any) -> None:
            network.body().eval()

    with pytest.raises(UserError, match=r"conv\.weight trains"):
        FrozenBackbone(made, network, Thawed())


def test_features_have_no_maps_and_need_no_backbone() -> None:
    network = toy_network()
    rows = torch.randn(4, 5)
    output = network(rows.as_subclass(Features))
    assert type(output.logits) is torch.Tensor
    assert torch.equal(output.logits, network.head(rows))
    with pytest.raises(ValueError, match="no maps"):
        network(rows.as_subclass(Features), taps=("conv",))
