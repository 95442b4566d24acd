"""Running statistics averaged anew are those of the training rows, computed directly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch import Tensor, nn

from bench.data.streams import Stream
from bench.models.checkpoint import load_checkpoint
from bench.models.network import Network
from bench.parts.patches.private_normalisation import PrivateNormalisation
from bench.spec.cell import Resources
from bench.spec.recipe import Recipe
from bench.spec.seeds import stream_seed
from bench.training.execute import execute
from bench.training.finite import NotANumber
from bench.training.statistics import average_anew
from bench.training.task_data import TaskData, load_task
from tests.training.conftest import RECIPE, Build, left, task

ROWS, WIDTH = 23, 4
ANEW = Recipe(
    steps=2, batch_size=5, image=None, augmentation=None, statistics="averaged-anew",
    validation=0.2,
)  # fmt: skip


class Vectors(nn.Module):
    """Two layers with normalisations and dropout, which the pass must leave asleep."""

    num_features = 3

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.BatchNorm1d(WIDTH)
        self.linear = nn.Linear(WIDTH, 3)
        self.drop = nn.Dropout(0.5)
        self.second = nn.BatchNorm1d(3)
        self.asleep = nn.BatchNorm1d(3)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.second(self.drop(self.linear(self.first(inputs.double()))))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, TaskData]:
    """Two tasks whose rows are sorted by class, far apart."""
    monkeypatch.setenv("RETABLE_CACHE", str(tmp_path / "cache"))
    draw = np.random.default_rng(5)
    files = {}
    for place, name in enumerate(("one", "two")):
        arrays = {}
        for split, count in (("train", ROWS), ("test", 4)):
            targets = np.sort(np.arange(count) % 2).astype(np.int64)
            inputs = draw.normal(size=(count, WIDTH)) + 10 * targets[:, None] + 100 * place
            arrays |= {
                f"{split}_inputs": inputs.astype(np.float32), f"{split}_targets": targets,
            }  # fmt: skip
        save_file(arrays, tmp_path / f"{name}.safetensors")
        files[name] = (str(tmp_path / f"{name}.safetensors"), "vectors")
    resources = Resources(arrays=files)
    return {name: load_task(task(name), 3, resources, recipe=ANEW) for name in files}


def _network(tasks: dict[str, TaskData]) -> Network:
    torch.manual_seed(0)
    return Network(Vectors().double(), {n: d.width for n, d in tasks.items()}, name="v").double()


def _batches(data: TaskData, trainings: str = "") -> list[np.ndarray]:
    key = stream_seed(3, "statistics", data.prepared.name, *filter(None, [trainings]))
    rows = data.train[Stream(key).permutation(len(data.train))]
    inputs = np.asarray(data.prepared.train.inputs)[rows].astype(np.float64)
    return np.array_split(inputs, -(-len(rows) // 5))


def _averages(batches: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    sizes = [len(batch) for batch in batches]
    return (
        np.average([batch.mean(axis=0) for batch in batches], axis=0, weights=sizes),
        np.average([batch.var(axis=0, ddof=1) for batch in batches], axis=0, weights=sizes),
    )


def _second_layer(network: Network, batches: list[np.ndarray]) -> list[np.ndarray]:
    """What enters the second normalisation, the first being in training mode."""
    weight, bias = (p.detach().numpy() for p in network.backbone.linear.parameters())
    return [((b - b.mean(0)) / np.sqrt(b.var(0) + 1e-5)) @ weight.T + bias for b in batches]


def _check(norm: nn.BatchNorm1d, batches: list[np.ndarray]) -> None:
    mean, variance = _averages(batches)
    np.testing.assert_allclose(norm.running_mean, mean, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(norm.running_var, variance, rtol=1e-12)


def test_statistics_are_the_rows_own_averages(data: dict[str, TaskData]) -> None:
    alone = {"": data["one"]}
    network = _network(alone)
    before = {n: v.clone() for n, v in network.state_dict().items()}
    network.train()
    network.backbone.drop.eval()
    modes = {name: module.training for name, module in network.named_modules()}
    momenta = [network.backbone.first.momentum, network.backbone.second.momentum]
    average_anew(network, alone, ANEW)
    batches = _batches(data["one"])
    assert [len(batch) for batch in batches] == [5, 4, 4, 4]
    _check(network.backbone.first, batches)
    _check(network.backbone.second, _second_layer(network, batches))
    # The mean is that of all training rows, none held out, whatever the batches.
    rows = np.asarray(data["one"].prepared.train.inputs, dtype=np.float64)[data["one"].train]
    np.testing.assert_allclose(network.backbone.first.running_mean, rows.mean(0), rtol=1e-12)
    # Shuffled: within a batch there are both classes, ten apart.
    assert (network.backbone.first.running_var > 10).all()
    assert network.backbone.first.num_batches_tracked == 4
    # Nothing else changes.
    assert {name: module.training for name, module in network.named_modules()} == modes
    assert [network.backbone.first.momentum, network.backbone.second.momentum] == momenta
    changed = {n for n, v in network.state_dict().items() if not torch.equal(v, before[n])}
    assert changed == {
        f"backbone.{norm}.{name}"
        for norm in ("first", "second")
        for name in ("running_mean", "running_var", "num_batches_tracked")
    }


def test_what_was_there_before_does_not_matter(data: dict[str, TaskData]) -> None:
    alone = {"": data["one"]}
    network, other = _network(alone), _network(alone)
    other.backbone.first.running_mean.fill_(1e9)
    other.backbone.first.running_var.fill_(1e9)
    other.backbone.first.momentum = None
    for each in (network, other):
        average_anew(each, alone, ANEW)
    for name, value in network.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name


def test_rows_come_in_another_order_after_other_trainings(data: dict[str, TaskData]) -> None:
    alone = {"": data["one"]}
    network = _network(alone)
    network.trainings = 1
    average_anew(network, alone, ANEW)
    _check(network.backbone.first, _batches(data["one"], "after 1"))
    first = _averages(_batches(data["one"]))[1]
    assert not np.allclose(network.backbone.first.running_var, first)


def test_private_statistics_are_of_their_own_tasks_rows(data: dict[str, TaskData]) -> None:
    network = _network(data)
    PrivateNormalisation()(network)
    average_anew(network, data, ANEW)
    for name in data:
        with network.as_task(name) as backbone:
            _check(backbone.first, _batches(data[name]))
            _check(backbone.second, _second_layer(network, _batches(data[name])))


def test_shared_statistics_are_of_all_tasks_rows_and_each_counts_as_much(
    data: dict[str, TaskData],
) -> None:
    network = _network(data)
    average_anew(network, data, ANEW)
    each = [_averages(_batches(one)) for one in data.values()]
    mean, variance = (np.mean([pair[i] for pair in each], axis=0) for i in (0, 1))
    np.testing.assert_allclose(network.backbone.first.running_mean, mean, rtol=1e-12)
    np.testing.assert_allclose(network.backbone.first.running_var, variance, rtol=1e-12)


def test_a_statistic_that_is_no_number_names_the_task(data: dict[str, TaskData]) -> None:
    network = _network(data)
    PrivateNormalisation()(network)
    with torch.no_grad(), network.as_task("two") as backbone:
        backbone.first.bias.fill_(torch.inf)
    with pytest.raises(NotANumber, match=r"two/running mean became nan at step 0"):
        average_anew(network, data, ANEW)


def test_a_cell_averages_before_its_first_step(job: Build) -> None:
    anew = RECIPE.model_copy(update={"statistics": "averaged-anew"})
    keep = {"checkpoint@start", "checkpoint"}
    found = {}
    for name, recipe in (("loaded", RECIPE), ("anew", anew), ("again", anew)):
        made = job(recipe, trainable="head", keep=keep, attempt=len(found) + 1)
        outcome = execute(made)
        found[name] = [
            load_checkpoint(left(made, outcome, state).path).backbone for state in sorted(keep)
        ]
    start, end = found["loaded"][1], found["anew"][1]
    assert start["conv1.1.running_mean"].eq(0).all()
    assert end["conv1.1.running_mean"].ne(0).all()
    assert end["conv1.1.num_batches_tracked"] == 4  # 30 rows in batches of at most 8
    for name, value in end.items():
        # The head alone trains: what was averaged stays to the end, and comes twice the same.
        assert torch.equal(found["anew"][0][name], value)
        assert torch.equal(found["again"][0][name], value)
        if "running" not in name and "tracked" not in name:
            assert torch.equal(start[name], value)
