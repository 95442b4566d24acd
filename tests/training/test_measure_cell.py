"""Cells that measure: what they look at, and what they give."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from bench.data.streams import Stream
from bench.errors import UserError, WeightsError
from bench.files import file_sha256
from bench.models.architecture import create_backbone
from bench.models.checkpoint import load_checkpoint
from bench.models.network import Network
from bench.records.record import Curve, Outcome
from bench.scheduling.job import Job, ParentArtifact
from bench.spec.cell import START, Cell, Resources
from bench.spec.metrics import declared_curves, declared_metrics
from bench.spec.parts import find_part
from bench.spec.recipe import SGD, Evaluation, Optimizer, Recipe
from bench.spec.seeds import stream_seed
from bench.spec.work import Measure, Start
from bench.training.evaluate import evaluate
from bench.training.execute import execute
from bench.training.finite import NotANumber
from bench.training.statistics import average_anew, average_over
from bench.training.task_data import load_task
from tests.training.conftest import CLASSES, IMAGE, RECIPE, Build, job_of, left, task, use

# -- channel attention ---------------------------------------------------------------------------


def test_the_file_has_a_weight_for_each_channel_of_each_tapped_layer(attention_job: Job) -> None:
    outcome = execute(attention_job)
    weights = load_file(left(attention_job, outcome, "arrays").path)
    assert {name: len(w) for name, w in weights.items()} == {
        "layer1.0.conv2": 32, "layer2.0.conv2": 48, "layer3.0.conv3": 192, "layer4.0.conv2": 96,
    }  # fmt: skip
    for value in weights.values():
        torch.testing.assert_close(value.sum(), torch.tensor(1.0))
    assert outcome.status == "done"
    assert set(outcome.metrics) == {
        f"train/{name}" for name in ("top1", "top5", "mean_class_accuracy", "loss")
    }
    assert outcome.provenance.data["train_images"] == 30
    assert set(outcome.timings) == {"data_s", "measure_s", "total_s"}


def test_it_is_the_same_again_and_other_at_another_seed(attention_job: Job) -> None:
    first = execute(attention_job).artifacts["arrays"].sha256
    assert execute(attention_job).artifacts["arrays"].sha256 == first
    cell = attention_job.cell
    other = Cell(cell.work, 1, cell.parents)
    again = execute(dataclasses.replace(attention_job, cell=other))
    assert again.artifacts["arrays"].sha256 != first


def test_it_does_not_see_what_its_training_holds_out(
    attention_job: Job, resources: Resources
) -> None:
    work = attention_job.cell.work
    assert isinstance(work, Measure)
    recipe = RECIPE.model_copy(update={"validation": 0.3, "validation_seed": 5})
    blind = dataclasses.replace(work, held_out=recipe.held_out)
    cell = Cell(blind, 2, attention_job.cell.parents)
    outcome = execute(dataclasses.replace(attention_job, cell=cell))
    training = load_task(task(), 2, resources, recipe=recipe)
    assert outcome.provenance.data["subset"] == training.provenance()["subset"]
    assert outcome.provenance.data["train_images"] == len(training.train) < 30


# -- distance ------------------------------------------------------------------------------------

Pair = dict[str, ParentArtifact]


def _measure(
    resources: Resources, folder: Path, parents: Pair, *, part: Any = None, **settings: Any
) -> Job:
    starts = {role: Start("test_resnet", "stage") for role in parents}
    work = Measure(part or use("distance"), starts, settings.pop("task", None))
    return job_of(work, folder, resources, parents=parents, **settings)


@pytest.fixture
def pair(job: Build) -> Pair:
    """Return what two trainings from one start left: one of four steps, one of six."""
    found = {}
    for role, steps in (("first", 4), ("second", 6)):
        recipe = RECIPE.model_copy(update={"steps": steps, "optimizer": Optimizer(sgd=SGD(lr=0.2))})
        made = job(recipe, keep={"checkpoint"})
        found[role] = left(made, execute(made))
    return found


def _parameters(path: Path) -> dict[str, np.ndarray]:
    """Return a checkpoint's parameters by name, in the network's order; statistics are none."""
    state = load_file(path)
    names = [name for name, _ in create_backbone("test_resnet").named_parameters()]
    return {name: state[f"backbone.{name}"].double().numpy() for name in names}


def test_the_distance_is_that_of_the_two_checkpoints(
    pair: Pair, resources: Resources, tmp_path: Path
) -> None:
    made = _measure(resources, tmp_path, pair)
    outcome = execute(made)
    first, second = (_parameters(pair[role].path) for role in ("first", "second"))
    apart = {name: float(np.square(first[name] - second[name]).sum()) for name in first}
    whole = math.sqrt(sum(apart.values()))
    norm = math.sqrt(sum(float(np.square(value).sum()) for value in first.values()))
    assert whole > 0
    assert outcome.metrics == pytest.approx({"distance": whole, "distance/relative": whole / norm})
    modules: dict[str, float] = {}
    for name, square in apart.items():
        module = name.rpartition(".")[0]
        modules[module] = modules.get(module, 0.0) + square
    curve = outcome.curves["distance/module"]
    assert curve.axis == "module"
    assert curve.at == tuple(range(1, len(modules) + 1))
    assert curve.value == pytest.approx([math.sqrt(square) for square in modules.values()])
    arrays = left(made, outcome, "arrays")
    assert arrays.path.name == "0001.arrays.safetensors"
    assert file_sha256(arrays.path) == arrays.sha256
    np.testing.assert_allclose(load_file(arrays.path)["modules"], curve.value, rtol=1e-6)


def test_it_tells_which_networks_it_looked_at(
    pair: Pair, resources: Resources, tmp_path: Path
) -> None:
    made = _measure(resources, tmp_path, pair)
    facts = execute(made).provenance
    assert set(facts.code) == {"measure", "measurement:distance"}
    for role, parent in pair.items():
        assert facts.parents[role]["sha256"] == parent.sha256
        assert facts.weights[role]["source"] == "stage"
    assert facts.weights["first"]["sha256"] != facts.weights["second"]["sha256"]


def test_roles_are_not_mixed_up(pair: Pair, resources: Resources, tmp_path: Path) -> None:
    ours = execute(_measure(resources, tmp_path, pair)).metrics
    swapped = {"first": pair["second"], "second": pair["first"]}
    theirs = execute(_measure(resources, tmp_path, swapped)).metrics
    assert ours["distance"] == theirs["distance"]
    assert ours["distance/relative"] != theirs["distance/relative"]


def test_a_network_is_no_distance_from_itself(
    pair: Pair, resources: Resources, tmp_path: Path
) -> None:
    outcome = execute(_measure(resources, tmp_path, dict.fromkeys(pair, pair["first"])))
    assert outcome.metrics == {"distance": 0.0, "distance/relative": 0.0}
    assert set(outcome.curves["distance/module"].value) == {0.0}


def test_what_was_trained_moved_by_what_its_own_record_says(
    job: Build, resources: Resources, tmp_path: Path
) -> None:
    made = job(keep={"checkpoint", "checkpoint@start"})
    outcome = execute(made)
    pair = {"first": left(made, outcome, "checkpoint@start"), "second": left(made, outcome)}
    found = execute(_measure(resources, tmp_path, pair)).metrics["distance"]
    assert found == pytest.approx(outcome.metrics["features/distance"], rel=1e-8)


def test_networks_of_different_parameters_are_refused(
    job: Build, pair: Pair, resources: Resources, tmp_path: Path
) -> None:
    image = RECIPE.model_copy(
        update={"image": IMAGE.model_copy(update={"size": 160, "resize": 160}), "steps": 1}
    )
    other = job(image, network="test_vit", keep={"checkpoint"})
    parents = {"first": pair["first"], "second": left(other, execute(other))}
    starts = {"first": Start("test_resnet", "stage"), "second": Start("test_vit", "stage")}
    made = job_of(Measure(use("distance"), starts), tmp_path, resources, parents=parents)
    with pytest.raises(UserError, match="same parameters"):
        execute(made)


def test_a_changed_checkpoint_is_not_measured(
    pair: Pair, resources: Resources, tmp_path: Path
) -> None:
    content = bytearray(pair["second"].path.read_bytes())
    content[-1] ^= 1
    path = tmp_path / "changed.safetensors"
    path.write_bytes(content)
    changed = dataclasses.replace(pair["second"], path=path)
    with pytest.raises(WeightsError, match="is not the file that was written"):
        execute(_measure(resources, tmp_path, {**pair, "second": changed}))


# -- the line through two ------------------------------------------------------------------------


def _line(resources: Resources, folder: Path, pair: Pair, **settings: Any) -> Outcome:
    part = use("linear-path", points=3, **settings)
    made = _measure(resources, folder, pair, part=part, task=task(image=IMAGE))
    return execute(made)


def _network(parent: ParentArtifact) -> Network:
    known = load_checkpoint(parent.path)
    network = Network(create_backbone("test_resnet"), {"": CLASSES}, name="test_resnet")
    network.backbone.load_state_dict(dict(known.backbone))
    network.load_heads(known.heads)
    return network.eval()


def test_the_line_ends_in_what_both_trainings_left(
    pair: Pair, resources: Resources, tmp_path: Path
) -> None:
    found = _line(resources, tmp_path, pair)
    data = load_task(task(image=IMAGE), 0, resources)
    for role in ("first", "second"):
        batches = data.evaluation_batches("test", Evaluation(), torch.device("cpu"))
        own = evaluate(_network(pair[role]), batches, data.objective)
        assert found.metrics[f"path/{role}/top1"] == own["top1"]
        assert found.curves["path/loss"].value[0 if role == "first" else 2] == own["loss"]
    assert found.curves["path/top1"].axis == "lambda"


def test_statistics_are_averaged_anew_over_shuffled_training_rows(
    pair: Pair, resources: Resources, tmp_path: Path
) -> None:
    found = _line(resources, tmp_path, pair, statistics="averaged-anew", batch_size=6)
    data = load_task(task(image=IMAGE), 0, resources)
    losses = []
    for role in ("first", "second"):
        network = _network(pair[role])
        average_anew(network, {"": data}, Recipe(batch_size=6))
        batches = data.evaluation_batches("test", Evaluation(), torch.device("cpu"))
        losses.append(evaluate(network, batches, data.objective)["loss"])
    line = found.curves["path/loss"].value
    assert (line[0], line[2]) == pytest.approx(losses, rel=1e-4)
    # In the rows' own order, sorted by class, a batch has one colour: another loss altogether.
    rows = next(data.evaluation_batches("train", Evaluation(batch_size=30), torch.device("cpu")))[0]
    average_over(network, {"": [(part, 1.0) for part in rows.split(6)]})
    batches = data.evaluation_batches("test", Evaluation(), torch.device("cpu"))
    assert abs(evaluate(network, batches, data.objective)["loss"] / losses[1] - 1) > 0.01


def test_statistics_that_were_frozen_while_training_are_not_averaged_anew(
    pair: Pair, resources: Resources, tmp_path: Path
) -> None:
    parent = pair["second"]
    work = dataclasses.replace(parent.cell.work, trainable=use("all", statistics="frozen"))
    frozen = {**pair, "second": dataclasses.replace(parent, cell=Cell(work, 0))}
    with pytest.raises(UserError, match="role second was trained with frozen statistics"):
        _line(resources, tmp_path, frozen, statistics="averaged-anew")
    _line(resources, tmp_path, frozen)


def test_a_basin_is_of_the_first_rows_in_one_random_order(
    pair: Pair, resources: Resources, tmp_path: Path
) -> None:
    part = use("basin", points=2, pairs=1, examples=5)
    made = _measure(resources, tmp_path, pair, part=part, task=task(image=IMAGE))
    found = execute(made).metrics
    assert found["basin/diameter"] > 0
    data = load_task(task(image=IMAGE), 0, resources)
    rows = Stream(stream_seed(0, "measurement", "basin", "examples")).permutation(12)[:5]
    losses = []
    for role in ("first", "second"):
        batches = data.evaluation_batches("test", Evaluation(), torch.device("cpu"), rows=rows)
        losses.append(evaluate(_network(pair[role]), batches, data.objective)["loss"])
    # The ends of the segment are where rays leave it.
    expected = sum(losses) / 2 - found["basin/mean"]
    assert found["basin/edge"] == pytest.approx(expected, abs=1e-6)


# -- measurements of one's own -------------------------------------------------------------------

PLUGIN = '''
import torch

from bench.parts import Line, Measured, Measurement, measurement


@measurement("mine")
class Mine(Measurement):
    """What the start scores on its task."""

    roles = ("start",)
    metrics = {"test/top1": ("%", "highest"), "mine": ("", "lowest")}
    curves = {"line": "lambda"}

    def __call__(self, measuring):
        network = measuring.network("start")
        top1 = measuring.scores(network, "test")["top1"]
        rows = [targets for _, targets in measuring.batches("test", 5)]
        return Measured(
            {"test/top1": top1, "mine": float(sum(map(len, rows)))},
            {"line": Line([0.0, 0.5], [1.0, 2.0])},
            {"targets": torch.cat(rows)},
        )
'''


def _mine(
    resources: Resources, folder: Path, parent: ParentArtifact, *changes: tuple[str, str]
) -> Job:
    text = PLUGIN
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file = folder / "mine.py"
    file.write_text(text)
    return _measure(
        resources, folder, {START: parent}, part=use("mine"), task=task(image=IMAGE), plugins=[file]
    )


@pytest.fixture
def trained(job: Build) -> tuple[ParentArtifact, float]:
    made = job(RECIPE.model_copy(update={"steps": 12}), keep={"checkpoint"})
    outcome = execute(made)
    return left(made, outcome), outcome.metrics["test/top1"]


def test_a_network_is_measured_with_the_head_it_was_left_with(
    trained: tuple[ParentArtifact, float], resources: Resources, tmp_path: Path
) -> None:
    parent, top1 = trained
    made = _mine(resources, tmp_path, parent)
    outcome = execute(made)
    assert outcome.metrics == {"test/top1": top1, "mine": 12.0}
    assert outcome.curves == {"line": Curve((0.0, 0.5), (1.0, 2.0), "lambda")}
    arrays = left(made, outcome, "arrays")
    assert file_sha256(arrays.path) == arrays.sha256
    assert load_file(arrays.path)["targets"].tolist() == [k for k in range(3) for _ in range(4)]

    def find(kind, name):  # type: ignore[no-untyped-def]
        return find_part(kind, name, made.resources.plugins)

    assert set(outcome.metrics) == set(declared_metrics(made.cell, find, ()))
    assert set(outcome.curves) == set(declared_curves(made.cell, find, ()))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (('"mine": float', '"other": float'), r"declares the metrics \['mine', 'test/top1'\]"),
        (('"mine": ("", "lowest")', ""), r"and gives \['mine', 'test/top1'\]"),
        (('{"line": Line([0.0, 0.5], [1.0, 2.0])}', "{}"), r"declares the curves \['line'\]"),
        (('"line": "lambda"', ""), r"declares the curves \[\]"),
    ],
)
def test_a_measurement_gives_what_it_declares_and_nothing_else(
    source: ParentArtifact,
    resources: Resources,
    tmp_path: Path,
    change: tuple[str, str],
    problem: str,
) -> None:
    made = _mine(resources, tmp_path, source, change)
    with pytest.raises(UserError, match=problem):
        execute(made)
    assert not list(made.folder.iterdir())


@pytest.mark.parametrize("change", [("sum(map(len, rows))", "'nan'"), ("2.0]", "float('inf')]")])
def test_what_is_not_a_number_is_no_measurement(
    source: ParentArtifact, resources: Resources, tmp_path: Path, change: tuple[str, str]
) -> None:
    with pytest.raises(NotANumber, match=r"mine became nan|line became inf"):
        execute(_mine(resources, tmp_path, source, change))


@pytest.mark.parametrize("dataset", ["stripes", "noise"])
def test_a_network_is_not_scored_by_the_head_of_other_classes(
    job: Build, resources: Resources, tmp_path: Path, dataset: str
) -> None:
    tasks = {"": task()} if dataset == "stripes" else {"a": task(), "b": task()}
    first = job(RECIPE, tasks=tasks, keep={"checkpoint"})
    parent = left(first, execute(first))
    file = tmp_path / "mine.py"
    file.write_text(PLUGIN)
    made = _measure(
        resources, tmp_path, {START: parent}, part=use("mine"),
        task=task(dataset, image=IMAGE), plugins=[file],
    )  # fmt: skip
    with pytest.raises(UserError, match=r"heads have: (3|a 3, b 3)"):
        execute(made)


def test_a_line_needs_a_place_for_each_value(
    source: ParentArtifact, resources: Resources, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="2 places for 3 values"):
        execute(_mine(resources, tmp_path, source, ("[1.0, 2.0]", "[1.0, 2.0, 3.0]")))


def test_a_measurement_without_arrays_leaves_no_file(
    source: ParentArtifact, resources: Resources, tmp_path: Path
) -> None:
    made = _mine(resources, tmp_path, source, ('{"targets": torch.cat(rows)},', ""))
    assert execute(made).artifacts == {}
    assert not list(made.folder.iterdir())


# -- open roles, and metrics by name -------------------------------------------------------------

MANY = '''
from bench.parts import Measured, Measurement, measurement


@measurement("many")
class Many(Measurement):
    """Counts its networks, and the parameters of modules."""

    roles = ("first", "judge*")
    data = "none"
    metrics = {"count": ("", "lowest"), "size/{modules}": ("", "lowest")}
    modules: dict[str, str] = {}

    def __call__(self, measuring):
        backbone = measuring.network("first").backbone
        sizes = {
            f"size/{name}": float(sum(p.numel() for p in backbone.get_submodule(path).parameters()))
            for name, path in self.modules.items()
        }
        assert measuring.roles[-1] == f"judge{len(measuring.roles) - 1}", measuring.roles
        return Measured({"count": float(len(measuring.roles)), **sizes})
'''


def _many(resources: Resources, folder: Path, source: ParentArtifact, roles: list[str]) -> Job:
    file = folder / "many.py"
    file.write_text(MANY)
    part = use("many", modules={"stem": "conv1"})
    return _measure(resources, folder, dict.fromkeys(roles, source), part=part, plugins=[file])


def test_a_measurement_is_told_its_roles_and_gives_its_metrics_by_name(
    resources: Resources, tmp_path: Path, source: ParentArtifact
) -> None:
    # Not as they are written, and by number.
    roles = [*(f"judge{number}" for number in range(10, 0, -1)), "first"]
    made = _many(resources, tmp_path, source, roles)
    conv1 = create_backbone("test_resnet").conv1
    size = sum(p.numel() for p in conv1.parameters())
    assert execute(made).metrics == {"count": 11.0, "size/stem": size}


def test_a_metric_that_its_parameter_does_not_name_is_refused(
    resources: Resources, tmp_path: Path, source: ParentArtifact
) -> None:
    made = _many(resources, tmp_path, source, ["first", "judge1"])
    text = MANY.replace('f"size/{name}"', 'f"size/{path}"')
    (tmp_path / "many.py").write_text(text.replace('"many"', '"more"'))
    part = use("more", modules={"stem": "conv1"})
    work = dataclasses.replace(made.cell.work, measurement=part)
    made = dataclasses.replace(made, cell=Cell(work, 0, made.cell.parents))
    with pytest.raises(UserError, match=r"\['count', 'size/stem'\] and gives .*'size/conv1'"):
        execute(made)


# -- input examples ------------------------------------------------------------------------------


def test_examples_are_the_same_rows_through_any_transform(
    resources: Resources, tmp_path: Path
) -> None:
    def shown(**transform: Any) -> tuple[np.ndarray, Any]:
        uses = tuple(use(name, **given) for name, given in transform.items())
        made = _measure(
            resources,
            tmp_path,
            {},
            part=use("input-examples", count=5),
            task=task(image=IMAGE, transforms=uses),
        )
        outcome = execute(made)
        return load_file(left(made, outcome, "arrays").path)["images"].numpy(), outcome.metrics

    plain, smooth = shown()
    moved, rough = shown(**{"block-shuffle": {"block": 4}})
    assert plain.shape == (5, 3, 32, 32)
    assert not np.array_equal(plain, moved)
    np.testing.assert_array_equal(
        np.sort(plain.reshape(5, 3, -1)), np.sort(moved.reshape(5, 3, -1))
    )
    # Colours of files are 0 … 255, and 55 at least of the class's own.
    assert 0 <= plain.min() < plain.max() <= 1
    assert np.allclose(255 * plain, np.rint(255 * plain), atol=1e-3)
    assert rough["inputs/mean"] == pytest.approx(smooth["inputs/mean"])


# -- files of the user's own ---------------------------------------------------------------------


def _own(state: dict[str, torch.Tensor], classes: int = 3) -> dict[str, torch.Tensor]:
    """Return a checkpoint's tensors as timm names them; with a head of so many rows, if any."""
    timms = {n.removeprefix("backbone."): v for n, v in state.items() if n.startswith("backbone.")}
    head = {f"fc.{n}": state[f"head.{n}"][:classes].clone() for n in ("weight", "bias")}
    return timms | head if classes else timms


def _on_file(
    path: Path, classes: int, folder: Path, resources: Resources, text: str = PLUGIN
) -> Job:
    plugin = folder / "mine.py"
    plugin.write_text(text)
    work = Measure(use("mine"), {START: Start("test_resnet", "file:own")}, task(image=IMAGE))
    made = job_of(work, folder, resources, plugins=[plugin])
    files = {"own": (str(path), classes)}
    return dataclasses.replace(made, resources=dataclasses.replace(made.resources, files=files))


@pytest.mark.parametrize("as_timms", [True, False])
def test_a_file_is_scored_by_its_own_head(
    trained: tuple[ParentArtifact, float], resources: Resources, tmp_path: Path, as_timms: bool
) -> None:
    parent, top1 = trained
    path = tmp_path / "own.safetensors"
    if as_timms:
        save_file(_own(load_file(parent.path)), path)
    else:
        path.write_bytes(parent.path.read_bytes())
    outcome = execute(_on_file(path, 3, tmp_path, resources))
    assert outcome.metrics["test/top1"] == top1
    origin = outcome.provenance.weights[START]
    assert (origin["source"], origin["file"]) == ("file:own", file_sha256(path))


DIRECT = """
    def direct(self, measuring, network):
        rows = [(network(x).logits.detach(), y) for x, y in measuring.batches("test", 5)]
        return measuring.scores_of(*map(torch.cat, zip(*rows, strict=True)))
"""


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("classes", [0, 2])
def test_a_file_without_a_head_for_the_data_is_not_scored(
    trained: tuple[ParentArtifact, float],
    resources: Resources,
    tmp_path: Path,
    classes: int,
    direct: bool,
) -> None:
    path = tmp_path / "own.safetensors"
    save_file(_own(load_file(trained[0].path), classes), path)
    scored = 'measuring.scores(network, "test")'
    text = PLUGIN.replace(scored, "self.direct(measuring, network)") + DIRECT
    made = _on_file(path, classes, tmp_path, resources, text if direct else PLUGIN)
    lacks = "scores 2 outputs on noise, which needs 3" if direct else "needs 3 outputs.*have: 2"
    with pytest.raises(UserError, match=lacks if classes else "start came without a head"):
        execute(made)


def test_a_file_of_predictions_is_read_as_a_cells(resources: Resources, tmp_path: Path) -> None:
    plugin, path = tmp_path / "read.py", tmp_path / "p.safetensors"
    plugin.write_text(
        """
from bench.parts import Measured, Measurement, measurement


@measurement("read")
class Read(Measurement):
    roles = ("first",)
    data = "none"
    reads = "predictions"
    metrics = {"right": ("%", "highest")}

    def __call__(self, measuring):
        kept = measuring.parent("first")
        right = kept["outputs"].argmax(dim=1) == kept["targets"]
        return Measured({"right": right.double().mean().item()})
"""
    )
    save_file({"outputs": torch.eye(4), "targets": torch.tensor([0, 1, 2, 0])}, path)
    work = Measure(use("read"), {"first": Start("", "file:first")})
    made = job_of(work, tmp_path, resources, plugins=[plugin])
    known = dataclasses.replace(made.resources, files={"first": (str(path), 0)})
    assert execute(dataclasses.replace(made, resources=known)).metrics == {"right": 0.75}
