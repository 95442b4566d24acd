"""Numbers of a record found again from files alone, without the code that recorded them."""

from __future__ import annotations

import csv

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.func import functional_call

from bench.spec.cell import Cell
from bench.spec.plan import Plan, load_plan
from bench.spec.recipe import Evaluation
from bench.training.task_data import TaskData, load_task

State = dict[str, Tensor]


class Store:
    """A store's records and artifacts by cell."""

    def __init__(self, bench) -> None:
        self.folder = bench.store
        self.records = {
            r["cell"]["id"]: r for r in bench.records() if r["outcome"]["status"] == "done"
        }

    def outcome(self, cell: Cell) -> dict:
        return self.records[cell.id]["outcome"]

    def tensors(self, cell_id: str, name: str = "checkpoint") -> State:
        file = self.records[cell_id]["outcome"]["artifacts"][name]["file"]
        return load_file(self.folder / "cells" / cell_id[:2] / cell_id / file)

    def parent(self, cell: Cell, role: str) -> State:
        parent = cell.parents[role]
        return self.tensors(parent.id, parent.artifact)


def plan_of(bench, suite: str, profile: str = "smoke") -> Plan:
    return load_plan(bench.folder / suite, profile)


def table_of(bench, page: str) -> list[dict[str, str]]:
    """Return the rows of the numbers beside a page: one a cell of the table."""
    with (bench.folder / "leaderboards" / page).with_suffix(".csv").open() as file:
        return list(csv.DictReader(file))


def row_of(bench, page: str, cell: Cell) -> dict[str, str]:
    return next(row for row in table_of(bench, page) if row["cell"] == cell.id)


def page_of(bench, page: str) -> str:
    return (bench.folder / "leaderboards" / page).read_text()


def shown(values: list[float]) -> str:
    """Return a mean of fractions as a page shows it: in percent, two decimals."""
    return f"{100 * sum(values) / len(values):.2f}"


def data_of(cell: Cell, plan: Plan) -> TaskData:
    (task,) = cell.tasks.values()
    return load_task(task, cell.seed, plan.resources, recipe=cell.recipe)


def rows_of_test(data: TaskData) -> tuple[Tensor, Tensor]:
    """Return all test inputs and targets, as they go into the network."""
    batches = list(data.evaluation_batches("test", Evaluation(), torch.device("cpu")))
    return torch.cat([b[0] for b in batches]), torch.cat([b[1] for b in batches])


def below(state: State, prefix: str) -> State:
    return {n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)}


def outputs(state: State, inputs: Tensor, head: State | None = None) -> Tensor:
    """Return the outputs of timm's ``test_resnet`` with a checkpoint's tensors, evaluating."""
    backbone = timm.create_model("test_resnet", pretrained=False, num_classes=0).eval()
    features = functional_call(backbone, below(state, "backbone."), (inputs,))
    own = head or below(state, "head.")
    return features @ own["weight"].T + own["bias"]


def top1(outputs: Tensor, targets: Tensor) -> float:
    return (outputs.argmax(dim=1) == targets).double().mean().item()
