"""Parts from outside the package, from YAML to the leaderboard; each number is found again."""

from __future__ import annotations

import json
import re
import runpy
import shlex

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy

from bench.data.streams import Stream
from bench.files import file_sha256
from bench.spec.cell import PlannedCell
from bench.spec.layers import SHIPPED
from bench.spec.recipe import Evaluation
from bench.spec.seeds import stream_seed

from .recompute import (
    Store,
    below,
    data_of,
    outputs,
    page_of,
    plan_of,
    row_of,
    rows_of_test,
    shown,
    table_of,
    top1,
)
from .test_docs import ROOT, files_of, write

pytestmark = pytest.mark.e2e
ONE = ("--workers", "1")
SMOKE = ("--profile", "smoke")
DIGITS = """
  image: {resize: 16, size: 16}
  augmentation: {crop: centre, flip: false}
"""


@pytest.fixture(autouse=True)
def _same_cache(bench, monkeypatch):
    monkeypatch.setenv("RETABLE_CACHE", str(bench.cache))


def plugged(**suites: str) -> dict[str, str]:
    """Return the files of a paper's folder with these suites."""
    files = {f"plugged/{name}.yaml": text for name, text in suites.items()}
    return files | {"plugged/paper.yaml": "id: plugged\ntitle: Plugged in\n"}


def run(bench, suite: str, page: str, *options: str) -> Store:
    """Validate, run and report a suite under its smoke profile; return the store."""
    bench("validate", suite)
    bench("run", suite, *SMOKE, *ONE, *options)
    bench("report", suite, *SMOKE)
    assert all(row["state"] == "done" for row in table_of(bench, page))
    return Store(bench)


# -- update --------------------------------------------------------------------------------------

AVERAGED = """
title: Two ways to make a step
plugins: [../averaged_gradients.py]
networks: {small: {mlp: {widths: [8]}}}
stages:
  first: {weights: random, method: single, recipe: {steps: 2, head: new}}
axes:
  backbone: small
  weights: "stage:first"
  dataset: rings
  sampling_rate: 0.5
  method: [single, averaged]
  seed: 2
recipe:
  steps: 4
  batch_size: 16
  head: kept
  optimizer: {sgd: {lr: 0.2, momentum: 0.9}}
methods:
  single: {}
  averaged: {update: {averaged-gradients: {batches: 3}}}
table:
  rows: [dataset, method]
profiles: {smoke: {}}
"""


def test_an_update_trains_as_the_same_steps_written_out_do(bench):
    files = {"averaged_gradients.py": files_of("add-a-part.md")["averaged_gradients.py"]}
    write(bench.folder, files | plugged(table=AVERAGED))
    store = run(bench, "plugged/table.yaml", "plugged/table.smoke.md", "--keep")
    plan = plan_of(bench, "plugged/table.yaml")
    found = []
    for planned in plan.shown:
        batches = {"single": 1, "averaged": 3}[planned.place["method"]]
        cell, outcome = planned.cell, store.outcome(planned.cell)
        data = data_of(cell, plan)
        model, norms = trained_by_hand(store.parent(cell, "start"), data, cell.recipe, batches)
        for name, value in below(store.tensors(cell.id), "").items():
            ours = model.state_dict()[name.replace("backbone.1.", "0.").replace("head.", "2.")]
            torch.testing.assert_close(value, ours, rtol=1e-5, atol=1e-6)
        inputs, targets = rows_of_test(data)
        accuracy = top1(model(inputs), targets)
        assert float(row_of(bench, "plugged/table.smoke.md", cell)["test/top1"]) == accuracy
        assert outcome["metrics"]["train/gradients"] == 4 * batches
        if batches == 3:
            found.append(accuracy)
            assert outcome["curves"]["gradient/norm"]["value"] == pytest.approx(norms, rel=1e-4)
    assert shown(found) in page_of(bench, "plugged/table.smoke.md")


def trained_by_hand(start, data, recipe, batches: int) -> tuple[nn.Sequential, list[float]]:
    """Return the network after SGD on mean gradients, and the norm of each.

    It starts from a stage, so that one training is behind it.
    """
    drawn = data.training_batches(recipe, torch.device("cpu"), trainings=1)
    model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 10))
    model.load_state_dict({
        "0.weight": start["backbone.1.weight"], "0.bias": start["backbone.1.bias"],
        "2.weight": start["head.weight"], "2.bias": start["head.bias"],
    })  # fmt: skip
    velocity = [torch.zeros_like(p) for p in model.parameters()]
    norms, count = [], 0
    for _ in range(recipe.steps):
        # The mean of the losses of several batches has the mean of their gradients.
        losses = []
        for _ in range(batches):
            inputs, targets = drawn.batch(count)
            losses.append(cross_entropy(model(inputs), targets))
            count += 1
        gradients = torch.autograd.grad(torch.stack(losses).mean(), list(model.parameters()))
        norms.append(torch.cat([g.flatten() for g in gradients]).norm().item())
        with torch.no_grad():
            for p, v, g in zip(model.parameters(), velocity, gradients, strict=True):
                v.mul_(0.9).add_(g)
                p.sub_(0.2 * v)
    return model.eval(), norms


# -- objective, vectors, a network part, and a measurement of predictions ------------------------

SMOOTH = '''
import numpy as np
from pydantic import PositiveFloat, PositiveInt
from torch import nn
from torch.nn.functional import smooth_l1_loss

from bench.parts import (
    Architecture, Measured, Measurement, Objective, measurement, network, objective,
)


@objective("smooth-l1")
class SmoothL1(Objective):
    """Quadratic near zero, linear beyond beta (Girshick 2015, eq. 3)."""

    metrics = {"mae": ("", "lowest"), "loss": ("", "lowest")}
    score = "mae"
    term = "smooth-l1"
    targets = "numbers"
    beta: PositiveFloat = 0.5

    def width(self, data):
        return int(np.prod(data.target_shape))

    def loss(self, outputs, targets):
        return smooth_l1_loss(outputs, targets.reshape(outputs.shape), beta=self.beta)

    def scores(self, outputs, targets):
        error = np.abs(outputs.astype(np.float64) - targets.reshape(outputs.shape))
        small = error < self.beta
        loss = np.where(small, error**2 / (2 * self.beta), error - self.beta / 2)
        return {"mae": float(error.mean()), "loss": float(loss.mean())}


@network("one-layer")
class OneLayer(Architecture):
    width: PositiveInt = 4

    def build(self, input_shape):
        module = nn.Sequential(nn.Linear(input_shape[0], self.width), nn.Tanh())
        module.num_features = self.width
        return module


@measurement("median-error")
class MedianError(Measurement):
    roles = ("model",)
    data = "none"
    reads = "predictions"
    metrics = {"median-error": ("", "lowest")}

    def __call__(self, measuring):
        kept = measuring.parent("model")
        errors = (kept["outputs"] - kept["targets"]).abs().flatten()
        return Measured({"median-error": errors.double().quantile(0.5).item()})
'''
VECTORS = """
title: Absolute errors
plugins: [../smooth.py]
datasets: {diabetes: {file: ../diabetes.safetensors}}
networks: {narrow: {one-layer: {width: 3}}}
axes: {backbone: narrow, weights: random, dataset: diabetes, sampling_rate: [0.5, 1.0],
       method: plain, seed: 2}
task: {objective: {smooth-l1: {beta: 1}}}
recipe: {steps: 5, batch_size: 32, optimizer: {sgd: {lr: 0.1}}}
methods: {plain: {}}
table: {rows: [dataset], metric: test/mae, decimals: 4}
profiles: {smoke: {}}
"""
MEDIANS = (
    VECTORS.replace("Absolute errors", "Median errors")
    .replace("test/mae", "median-error")
    .replace("axes:", "stages: {trained: {weights: random}}\naxes:")
    .replace("backbone: narrow, weights: random,", "backbone: narrow,")
    + "measure: {part: median-error, roles: {model: {stage: trained}}}\n"
)


def test_an_objective_and_a_network_for_vectors_are_scored_as_their_predictions_are(
    bench, monkeypatch
):
    files = {"diabetes.py": files_of("tasks-and-data.md")["diabetes.py"], "smooth.py": SMOOTH}
    write(bench.folder, files | plugged(table=VECTORS, medians=MEDIANS))
    monkeypatch.chdir(bench.folder)
    runpy.run_path("diabetes.py")
    store = run(bench, "plugged/medians.yaml", "plugged/medians.smoke.md")
    # The table's cells are the stages of the medians, which are done.
    assert "0 done now, 4 before" in bench("run", "plugged/table.yaml", *SMOKE)
    bench("report", "plugged/table.yaml", *SMOKE)
    arrays = load_file(bench.folder / "diabetes.safetensors")
    errors = {}
    for planned in plan_of(bench, "plugged/table.yaml").shown:
        kept = store.tensors(planned.cell.id, "predictions")
        assert torch.equal(kept["targets"].flatten(), arrays["test_targets"].flatten())
        errors[planned.cell.id] = error = (kept["outputs"] - kept["targets"]).abs().double().numpy()
        row = row_of(bench, "plugged/table.smoke.md", planned.cell)
        assert float(row["test/mae"]) == pytest.approx(error.mean(), rel=1e-6)
        small = np.where(error < 1, error**2 / 2, error - 0.5)
        metrics = store.outcome(planned.cell)["metrics"]
        assert metrics["test/loss"] == pytest.approx(small.mean(), rel=1e-6)
        # Seven inputs more than weights: 10 by 3 with 3 biases, and a head of 3 with one.
        assert metrics["parameters/total"] == 10 * 3 + 3 + 3 + 1
    full = [e.mean() for (i, e), p in zip(
        errors.items(), plan_of(bench, "plugged/table.yaml").shown, strict=True
    ) if p.place["sampling_rate"] == 1.0]  # fmt: skip
    assert f"{np.mean(full):.4f}" in page_of(bench, "plugged/table.smoke.md")
    for planned in plan_of(bench, "plugged/medians.yaml").shown:
        error = errors[planned.cell.parents["model"].id]
        row = row_of(bench, "plugged/medians.smoke.md", planned.cell)
        assert float(row["median-error"]) == pytest.approx(np.median(error), rel=1e-6)


# -- a measurement on two checkpoints ------------------------------------------------------------


def test_a_barrier_between_two_checkpoints_is_that_of_their_files(bench):
    write(bench.folder, files_of("measure.md"))
    store = run(bench, "lines/table.yaml", "lines/table.smoke.md")
    plan = plan_of(bench, "lines/table.yaml")
    middles: dict[str, list[float]] = {}
    for planned in plan.shown:
        cell = planned.cell
        first, second = (store.parent(cell, role) for role in ("first", "second"))
        assert not torch.equal(first["head.weight"], second["head.weight"])
        images, labels = rows_of_test(data_of(cell, plan))
        wrong = []
        for weight in (0.0, 0.5, 1.0):
            between = {n: v + weight * (second[n] - v) for n, v in first.items()
                       if v.is_floating_point()}  # fmt: skip
            wrong.append((outputs(between, images).argmax(dim=1) != labels).double())
        error = [w.mean().item() for w in wrong]
        curve = store.outcome(cell)["curves"]["error"]
        assert (curve["axis"], curve["at"]) == ("lambda", [0.0, 0.5, 1.0])
        assert curve["value"] == pytest.approx(error)
        row = row_of(bench, "lines/table.smoke.md", cell)
        assert float(row["barrier"]) == pytest.approx(max(error) - (error[0] + error[2]) / 2)
        by_class = store.tensors(cell.id, "arrays")["class-error"]
        for c, values in enumerate(by_class):
            own = [w[labels == c].mean().item() for w in wrong]
            assert values.tolist() == pytest.approx(own, abs=1e-6)
        middles.setdefault(planned.place["start"], []).append(error[1])
    page = page_of(bench, "lines/table.smoke.md")
    assert all(shown(values) in page for values in middles.values())
    names = {file.name for file in (bench.folder / "leaderboards" / "lines").iterdir()}
    # A picture of curves, and one of maps.
    assert {"table.smoke-1.svg", "table.smoke-2.svg"} <= names
    curves = (bench.folder / "leaderboards/lines/table.smoke.curves.csv").read_text()
    assert "lambda" in curves.splitlines()[0]
    told = json.loads(bench("claims", "lines", *SMOKE, "--json"))
    estimate = told["claims"][0]["comparisons"][0]["mean"]
    assert estimate == pytest.approx(100 * difference(bench, "barrier"), abs=1e-6)
    measure_at_hand(bench, store, plan.shown[0])


def measure_at_hand(bench, store: Store, planned: PlannedCell) -> None:
    """The how-to's commands as they are: on two files, and on the two cells that they are from."""
    before = bench.records()
    for role, name in (("first", "before"), ("second", "after")):
        state = store.parent(planned.cell, role)
        timms = below(state, "backbone.") | {f"fc.{n}": v for n, v in below(state, "head.").items()}
        save_file(timms, bench.folder / f"{name}.safetensors")
    commands = re.findall(r"^bench (measure .*)$", (ROOT / "docs/measure.md").read_text(), re.M)
    assert len(commands) == 3
    said = [bench(*shlex.split(command)) for command in commands]
    first, second = (store.parent(planned.cell, role) for role in ("first", "second"))
    names = [n for n, _ in timm.create_model("test_resnet", num_classes=0).named_parameters()]
    square = sum((first[f"backbone.{n}"] - second[f"backbone.{n}"]).double().square().sum()
                 for n in names)  # fmt: skip
    folders = ("measured/distance", "measured/barrier", "between-cells")
    found = [
        json.loads((bench.folder / folder / f"{part}.json").read_text())
        for folder, part in zip(folders, ("distance", "barrier", "barrier"), strict=True)
    ]
    apart, of_files, of_cells = found
    assert apart["metrics"]["distance"]["value"] == pytest.approx(square.sqrt().item())
    # What the suite recorded, of the cells that the how-to names, and of the same as files.
    recorded = store.outcome(planned.cell)
    assert of_cells["networks"]["first"]["cell"] == planned.cell.parents["first"].id
    assert of_cells["networks"]["second"]["cell"] == planned.cell.parents["second"].id
    ten = of_cells["curves"]["error"]
    assert ten["at"] == [i / 10 for i in range(11)]
    assert [ten["value"][i] for i in (0, 5, 10)] == recorded["curves"]["error"]["value"]
    four = of_files["curves"]["error"]
    assert [four["value"][i] for i in (0, 2, 4)] == recorded["curves"]["error"]["value"]
    assert of_cells["data"]["test"] == of_files["data"]["test"]
    for role, name in (("first", "before"), ("second", "after")):
        told = of_files["networks"][role]
        assert told["sha256"] == file_sha256(bench.folder / f"{name}.safetensors")
        assert told["classes"] == 10
    shown = f"{100 * of_files['metrics']['barrier']['value']:.6g}"
    assert re.search(rf"^barrier +{re.escape(shown)} +%$", said[1], re.M)
    for folder, part, text in zip(folders, found, said, strict=True):
        assert all(f"{folder}/{name}" in text for name in part["files"])
        assert {file.name for file in (bench.folder / folder).iterdir()} == {
            *part["files"], f"{part['measurement']}.json",
        }  # fmt: skip
    drawn = {"barrier.lambda.svg", "barrier.class-error.svg", "barrier.arrays.safetensors"}
    assert set(of_cells["files"]) == drawn
    assert bench.records() == before


def difference(bench, metric: str) -> float:
    """Return the mean difference of a metric between the two starts, from the numbers' file."""
    found = {"pre-trained": [], "random": []}
    for row in table_of(bench, "lines/table.smoke.md"):
        found[row["start"]].append(float(row[metric]))
    return np.mean(found["pre-trained"]) - np.mean(found["random"])


# -- transforms ----------------------------------------------------------------------------------

QUARTER_TURN = '''
import torch

from bench.parts import Transform, transform


@transform("quarter-turn")
class QuarterTurn(Transform):
    """The image turned by a right angle, in training and in evaluation."""

    def __call__(self, inputs, stream):
        return torch.rot90(inputs, 1, dims=(-2, -1))
'''
TURNED = f"""
title: Turned, and noisy
plugins: [../quarter_turn.py, ../gaussian_noise.py]
axes:
  inputs: [plain, turned, still, noisy]
  backbone: test_resnet
  weights: "shipped:fractals"
  dataset: digits
  sampling_rate: 0.05
  method: plain
  seed: 2
recipe:
  steps: 6
  batch_size: 16
  optimizer: {{sgd: {{lr: 0.1, momentum: 0.9}}}}{DIGITS.rstrip()}
when:
  - {{inputs: turned, task: {{transforms: {{quarter-turn: {{}}}}}}}}
  - {{inputs: still, task: {{transforms: {{gaussian-noise: {{std: 0}}}}}}}}
  - {{inputs: noisy, task: {{transforms: {{gaussian-noise: {{std: 1}}}}}}}}
methods: {{plain: {{}}}}
table: {{rows: [inputs]}}
profiles: {{smoke: {{}}}}
"""


def test_fixed_transforms_act_in_evaluation_and_random_ones_in_training_alone(bench):
    noise = {"gaussian_noise.py": files_of("add-a-part.md")["gaussian_noise.py"]}
    write(bench.folder, noise | {"quarter_turn.py": QUARTER_TURN} | plugged(table=TURNED))
    store = run(bench, "plugged/table.yaml", "plugged/table.smoke.md", "--keep")
    plan = plan_of(bench, "plugged/table.yaml")
    states, losses = {}, {}
    images = None
    for planned in plan.shown:
        cell, inputs = planned.cell, planned.place["inputs"]
        if images is None:
            # The first cell has no transform: the images as they are.
            images, labels = rows_of_test(data_of(cell, plan))
        seen = torch.rot90(images, 1, dims=(2, 3)) if inputs == "turned" else images
        state = states[inputs, cell.seed] = store.tensors(cell.id)
        row = row_of(bench, "plugged/table.smoke.md", cell)
        logits = outputs(state, seen)
        assert float(row["test/top1"]) == pytest.approx(top1(logits, labels), abs=1e-12)
        metrics = store.outcome(cell)["metrics"]
        assert metrics["test/loss"] == pytest.approx(cross_entropy(logits, labels).item(), rel=1e-4)
        losses[inputs, cell.seed] = metrics["test/loss"]
    for seed in (0, 1):
        plain, still = states["plain", seed], states["still", seed]
        assert all(torch.equal(still[name], value) for name, value in plain.items())
        assert len({losses[i, seed] for i in ("plain", "turned", "noisy")}) == 3


# -- what trains, and what is patched ------------------------------------------------------------


def test_trainable_sets_and_patches_leave_the_rest_of_the_start_as_it_was(bench):
    write(bench.folder, files_of("add-a-part.md"))
    store = run(bench, "parts/images.yaml", "parts/images.smoke.md", "--keep")
    start = load_file(SHIPPED / "fractals.safetensors")
    for planned in plan_of(bench, "parts/images.yaml").shown:
        now, method = store.tensors(planned.cell.id), planned.place["method"]
        if method not in ("biases", "adapters"):
            continue
        # An adapted convolution is known by another name.
        names = {name: name.replace(".conv.weight", ".weight") for name in now}
        new = {n for n in now if names[n] not in start and n.startswith("backbone.")}
        old = {n for n in now if n.startswith("backbone.")} - new
        changed = {n for n in old if not torch.equal(now[n], start[names[n]])}
        trained = int(store.outcome(planned.cell)["metrics"]["parameters/trained"])
        head = now["head.weight"].numel() + now["head.bias"].numel()
        if method == "adapters":
            assert changed == set()
            assert new == {n for n in now if n.endswith(".adapter.weight")}
            assert all(now[n].any() for n in new)
            assert trained == head + sum(now[n].numel() for n in new)
        else:
            biases = {n for n in old if n.endswith(".bias")}
            statistics = {n for n in old if ".running_" in n or n.endswith("batches_tracked")}
            assert biases <= changed <= biases | statistics
            assert trained == head + sum(start[n].numel() for n in biases)
        assert f"{trained}" in page_of(bench, "parts/images.smoke.md").replace(",", "")
        row = row_of(bench, "parts/images.smoke.md", planned.cell)
        assert float(row["parameters/trained"]) == trained


# -- a penalty that needs a measurement ----------------------------------------------------------


def test_a_penalty_is_given_what_its_own_measurement_found(bench):
    write(bench.folder, files_of("add-a-penalty.md"))
    store = run(bench, "kept/table.yaml", "kept/table.smoke.md", "--keep")
    plan = plan_of(bench, "kept/table.yaml")
    by_name = {p.name: p.cell for p in plan.behind}
    stage = by_name["stage digits"]
    source = store.tensors(stage.id)
    for planned in plan.behind:
        if planned.name == "sensitivity":
            found = store.tensors(planned.cell.id, "arrays")
            expected = sensitivity_by_hand(source, planned.cell, plan)
            assert set(found) == set(expected)
            for name, value in expected.items():
                # Sizes, and no squares: where terms cancel, rounding is that of the largest.
                rounding = 1e-4 * value.max().item()
                torch.testing.assert_close(found[name], value, rtol=1e-3, atol=rounding)
            told = store.outcome(planned.cell)["metrics"]["sensitivity/sum"]
            total = sum(v.double().sum().item() for v in found.values())
            assert told == pytest.approx(total, rel=1e-6)
    images, labels = rows_of_test(data_of(stage, plan))
    lasting: dict[str, list[float]] = {}
    for planned in plan.shown:
        cell, outcome = planned.cell, store.outcome(planned.cell)
        # The source's own classifier on the features as they are now.
        kept = top1(outputs(store.tensors(cell.id), images, below(source, "head.")), labels)
        row = row_of(bench, "kept/table.smoke.md", cell)
        assert float(row["source/top1"]) == pytest.approx(kept, abs=1e-12)
        lasting.setdefault(planned.place["method"], []).append(kept)
        if planned.place["method"] == "mas":
            assert "sensitivity" in cell.parents
            term = outcome["curves"]["penalty/mas"]["value"]
            # Nothing has moved in the first step.
            assert term[0] == 0 < term[1]
    page = page_of(bench, "kept/table.smoke.md")
    assert all(shown(values) in page for values in lasting.values())


def sensitivity_by_hand(source, cell, plan):
    """Return the mean size of the gradient of ‖outputs‖², an image each, all at once."""
    data = data_of(cell, plan)
    limit = cell.work.measurement.settings["images"]
    # A measurement's stream, by the field's names for what it draws.
    stream = Stream(stream_seed(cell.seed, "measurement", "sensitivity", "images"))
    order = data.train[stream.permutation(len(data.train))][:limit]
    batches = data.evaluation_batches(
        "train", Evaluation(batch_size=limit), torch.device("cpu"), rows=order
    )
    ((images, _),) = list(batches)
    model = timm.create_model("test_resnet", pretrained=False, num_classes=0).eval()
    state, head = below(source, "backbone."), below(source, "head.")
    names = {name for name, _ in model.named_parameters()}
    fixed = {n: v for n, v in state.items() if n not in names}

    def length(parameters, image):
        features = functional_call(model, {**fixed, **parameters}, (image[None],))
        return (features @ head["weight"].T + head["bias"]).square().sum()

    each = vmap(grad(length), in_dims=(None, 0))({n: state[n] for n in names}, images)
    return {n: g.abs().mean(dim=0) for n, g in each.items()}
