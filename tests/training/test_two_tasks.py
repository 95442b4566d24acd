"""BSS's Table 3 in small: two tasks of permuted digits, one after the other, cell by cell."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn.functional import cross_entropy, linear, relu

from bench.data.streams import Stream
from bench.data.subset import per_class_subset
from bench.records.record import Outcome
from bench.scheduling.job import Job, ParentArtifact
from bench.spec.plan import Plan, PlannedCell, load_plan
from bench.spec.seeds import stream_seed
from bench.training.execute import execute

SUITE = Path(__file__).parents[2] / "suites" / "bss" / "table3.yaml"
State = dict[str, Tensor]


class Run:
    """All cells of the smoke profile, executed in this process, parents first."""

    def __init__(self, folder: Path) -> None:
        self.plan: Plan = load_plan(SUITE, "smoke")
        self._folder = folder
        self._left: dict[tuple[str, str], ParentArtifact] = {}
        self.outcomes: dict[str, Outcome] = {}
        asked = {
            (p.id, p.artifact) for c in self.plan.unique().values() for p in c.parents.values()
        }
        for planned in sorted(self.plan.cells, key=lambda each: each.level):
            if planned.cell.id not in self.outcomes:
                self._execute(planned, {name for of, name in asked if of == planned.cell.id})

    def _execute(self, planned: PlannedCell, keep: set[str]) -> None:
        cell = planned.cell
        own = self._folder / cell.id
        own.mkdir()
        parents = {role: self._left[p.id, p.artifact] for role, p in cell.parents.items()}
        outcome = execute(
            Job(cell, 1, own, keep=frozenset(keep), parents=parents, resources=self.plan.resources)
        )
        self.outcomes[cell.id] = outcome
        for name, artifact in outcome.artifacts.items():
            self._left[cell.id, name] = ParentArtifact(
                cell, name, 1, own / artifact.file, artifact.sha256
            )

    def behind(self, name: str) -> list[str]:
        """Return the ids of stages or measurements, in the plan's order."""
        return [p.cell.id for p in self.plan.behind if p.name == name]

    def shown(self, learnt: str, method: str) -> PlannedCell:
        wanted = {"learnt": learnt, "method": method}
        return next(p for p in self.plan.shown if wanted.items() <= p.labels.items())

    def tensors(self, cell: str, name: str = "checkpoint") -> State:
        return load_file(self._left[cell, name].path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETABLE_CACHE", str(tmp_path_factory.mktemp("cache")))
        return Run(tmp_path_factory.mktemp("cells"))


def digits(split: str, permutation: int) -> tuple[Tensor, Tensor]:
    """Return scikit-learn's digits as three equal channels in [-1, 1], flat, and their classes."""
    data = load_digits()
    targets = torch.from_numpy(data.target).long()
    held = torch.zeros(len(targets), dtype=torch.bool)
    for digit in range(10):
        rows = (targets == digit).nonzero().flatten()
        held[rows[len(rows) - len(rows) * 3 // 10 :]] = True
    chosen = held if split == "test" else ~held
    order = Stream(stream_seed(permutation, "transform", "pixel-permutation")).permutation(64)
    grey = torch.from_numpy(data.images).reshape(-1, 64)[chosen][:, torch.from_numpy(order)]
    pixels = (grey * 255 / 16 + 0.5).floor().float() / 127.5 - 1
    return pixels.repeat(1, 3), targets[chosen]


def outputs(state: State, inputs: Tensor) -> Tensor:
    """Return what the network answers: two hidden layers, and a head."""
    for layer in (1, 3):
        name = f"backbone.{layer}"
        inputs = relu(linear(inputs, state[f"{name}.weight"], state[f"{name}.bias"]))
    return linear(inputs, state["head.weight"], state["head.bias"])


def top1(logits: Tensor, targets: Tensor) -> float:
    return (logits.argmax(dim=1) == targets).double().mean().item()


@pytest.mark.parametrize(("learnt", "permutation"), [("first", 1), ("second", 2)])
def test_both_tasks_are_scored_by_the_head_as_it_is_in_the_end(
    run: Run, learnt: str, permutation: int
) -> None:
    (first,) = run.behind("stage first")
    for method in ("plain", "ewc", "ewc+bss"):
        cell = run.shown(learnt, method).cell
        state = run.tensors(cell.parents["network"].id)
        assert not torch.equal(state["head.weight"], run.tensors(first)["head.weight"])
        inputs, targets = digits("test", permutation)
        found = run.outcomes[cell.id].metrics
        assert found == {"test/top1": pytest.approx(top1(outputs(state, inputs), targets))}


def test_the_information_is_of_the_first_task_as_it_was_learnt(run: Run) -> None:
    (first,), (fisher,) = run.behind("stage first"), run.behind("fisher")
    state, found = run.tensors(first), run.tensors(fisher, "arrays")
    inputs, targets = digits("train", 1)
    rows = torch.from_numpy(per_class_subset(targets.numpy(), 1.0, 0, "digits"))
    shuffle = Stream(stream_seed(0, "measurement", "fisher", "examples", "digits"))
    chosen = rows[torch.from_numpy(shuffle.permutation(len(rows)))][:50]
    uniform = Stream(stream_seed(0, "measurement", "fisher", "labels", "digits")).uniform(50)
    parameters = {name: value.requires_grad_() for name, value in state.items()}
    sums = {name: torch.zeros_like(value) for name, value in parameters.items()}
    for row, drawn in zip(inputs[chosen], uniform.tolist(), strict=True):
        logits = outputs(parameters, row[None])
        label = (logits.double().softmax(dim=1).cumsum(dim=1) <= drawn).sum()[None]
        gradients = torch.autograd.grad(cross_entropy(logits, label), [*parameters.values()])
        for name, gradient in zip(parameters, gradients, strict=True):
            sums[name] += gradient.square() / 50
    names = {name: name.removeprefix("backbone.").replace("head.", "head/") for name in sums}
    for name, value in sums.items():
        torch.testing.assert_close(found[names[name]], value, rtol=1e-3, atol=1e-7)
    assert torch.equal(found["start/head/weight"], state["head.weight"])


def test_ewc_begins_at_nothing_where_the_first_task_ended(run: Run) -> None:
    (fisher,) = run.behind("fisher")
    anchored = [c for c in run.plan.unique().values() if "fisher" in c.parents]
    assert len(anchored) == 2
    for cell in anchored:
        assert cell.parents["fisher"].id == fisher
        term = run.outcomes[cell.id].curves["penalty/ewc"].value
        assert term[0] == 0 < term[1]
