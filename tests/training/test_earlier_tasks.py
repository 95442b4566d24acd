"""What is left of all tasks that a network was trained on before, by hand and by the loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.nn.modules.batchnorm import _BatchNorm

from bench.data.prepare import prepare
from bench.models.checkpoint import read_tensors
from bench.models.network import Network
from bench.models.weights import create_backbone
from bench.scheduling.job import ParentArtifact
from bench.spec.cell import START, Resources
from bench.spec.metrics import declared_curves, declared_metrics
from bench.spec.parts import find_part
from bench.spec.recipe import SGD, Optimizer, Recipe
from bench.training.execute import execute
from tests.training.conftest import CLASSES, IMAGE, RECIPE, Build, left, task

# All rows in one batch: the statistics re-taken of them are those of the whole.
FIRST = RECIPE.model_copy(update={"batch_size": CLASSES * 10, "steps": 6})
MOVING = Optimizer(sgd=SGD(lr=0.1))


def _recipe(**changes: Any) -> Recipe:
    base = RECIPE.model_dump() | {"optimizer": MOVING.model_dump(), "forgetting": True}
    return Recipe.model_validate(base | changes)


@pytest.fixture
def first(job: Build) -> ParentArtifact:
    made = job(FIRST, keep={"checkpoint"})
    return left(made, execute(made))


@pytest.fixture
def second(job: Build, first: ParentArtifact) -> ParentArtifact:
    made = job(
        _recipe(forgetting=False), weights="stage", parents={START: first}, keep={"checkpoint"},
        tasks={"": task("stripes")},
    )  # fmt: skip
    return left(made, execute(made))


def _of_first(
    features: Path, first: ParentArtifact, resources: Resources, *, retaken: bool = False
) -> tuple[float, float]:
    """Return accuracy and loss of one file's backbone under the first task's head."""
    head = read_tensors(first.path)[0]
    network = Network(create_backbone("test_resnet"), {"": CLASSES}, name="test_resnet").eval()
    state = read_tensors(features)[0].items()
    network.backbone.load_state_dict(
        {n.removeprefix("backbone."): t for n, t in state if n.startswith("backbone.")}
    )
    data = prepare("noise", IMAGE, resources)

    def inputs(rows: Any) -> torch.Tensor:
        pixels = np.ascontiguousarray(np.asarray(rows)[:, 2:34, 2:34])
        return (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5

    with torch.no_grad():
        for module in network.modules() if retaken else ():
            if isinstance(module, _BatchNorm):
                # What a forward pass of all rows leaves are their own statistics.
                module.train().momentum = 1.0
        if retaken:
            network(inputs(data.train.inputs))
        outputs = network.eval()(inputs(data.test.inputs)).features @ head["head.weight"].T
        outputs += head["head.bias"]
        targets = torch.from_numpy(np.asarray(data.test.targets))
        accuracy = float((outputs.argmax(1) == targets).float().mean())
        return accuracy, float(cross_entropy(outputs, targets))


def test_an_earlier_task_is_scored_by_the_head_of_its_own_checkpoint(
    job: Build, first: ParentArtifact, second: ParentArtifact, resources: Resources
) -> None:
    adapted = job(
        _recipe(), weights="stage", parents={START: second, "source2": first}, keep={"checkpoint"}
    )
    outcome = execute(adapted)
    now = adapted.folder / outcome.artifacts["checkpoint"].file
    before, after = _of_first(second.path, first, resources), _of_first(now, first, resources)
    metrics = outcome.metrics
    assert metrics["source2/top1"] == pytest.approx(after[0])
    assert metrics["source2/loss"] == pytest.approx(after[1], rel=1e-5)
    assert metrics["source2/forgotten"] == pytest.approx(before[0] - after[0])
    # Not by the head of the nearest source, of two outputs, nor by the cell's own.
    assert metrics["source2/loss"] != pytest.approx(metrics["test/loss"], rel=1e-3)
    assert set(outcome.provenance.data["sources"]) == {"noise", "stripes"}
    assert outcome.provenance.parents["source2"]["sha256"] == first.sha256


def test_retaken_statistics_are_those_of_the_earlier_rows_and_are_put_back(
    job: Build, first: ParentArtifact, resources: Resources
) -> None:
    """The training is, bit for bit, that of a cell which asks for nothing of the kind."""
    asked = {
        "forgetting_statistics": "retaken-too", "forgetting_curves": True, "validate_every": 2,
        "validation": 0.2,
    }  # fmt: skip
    files, outcomes = [], []
    for changes in (asked, {"validation": 0.2, "validate_every": 2}):
        made = job(
            _recipe(**changes), weights="stage", parents={START: first}, keep={"checkpoint"},
            tasks={"": task("stripes")},
        )  # fmt: skip
        outcomes.append(execute(made))
        files.append(made.folder / outcomes[-1].artifacts["checkpoint"].file)
        declared = declared_metrics(made.cell, find_part, [first.cell.tasks])
        assert set(outcomes[-1].metrics) == set(declared)
        assert set(outcomes[-1].curves) == set(
            declared_curves(made.cell, find_part, [first.cell.tasks])
        )
    assert files[0].read_bytes() == files[1].read_bytes()
    asking, plain = (outcome.metrics for outcome in outcomes)
    assert {name: asking[name] for name in plain} == plain
    for name, curve in outcomes[1].curves.items():
        assert outcomes[0].curves[name].value == curve.value

    kept, retaken = (
        _of_first(files[0], first, resources, retaken=retaken) for retaken in (False, True)
    )
    assert asking["source/loss"] == pytest.approx(kept[1], rel=1e-5)
    assert asking["source/retaken/loss"] == pytest.approx(retaken[1], rel=1e-4)
    assert asking["source/retaken/top1"] == pytest.approx(retaken[0])
    assert abs(retaken[1] - kept[1]) > 1e-2 * kept[1]
    start = _of_first(first.path, first, resources, retaken=True)
    lost = start[0] - asking["source/retaken/top1"]
    assert asking["source/retaken/forgotten"] == pytest.approx(lost)

    curve = outcomes[0].curves["source/top1"]
    assert list(curve.at) == [2, 4]
    assert curve.value[-1] == asking["source/top1"]
    # They would cost a pass over training rows a point.
    assert "source/retaken/top1" not in outcomes[0].curves


def test_anytime_scores_have_the_retaken_ones_too(job: Build, first: ParentArtifact) -> None:
    recipe = _recipe(
        steps=2, anytime={}, validation=0.2, forgetting_statistics="retaken-too",
        forgetting_curves=True,
    )  # fmt: skip
    made = job(recipe, weights="stage", parents={START: first})
    outcome = execute(made)
    assert set(outcome.curves) == set(declared_curves(made.cell, find_part, [first.cell.tasks]))
    assert len(outcome.curves["anytime/source/retaken/top1"].at) == 3
