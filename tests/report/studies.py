"""Plans and records made by hand, for the report's tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from bench.records.carried import Attestation
from bench.records.record import Curve, Outcome, Provenance, Record
from bench.report.page import Page, build_page
from bench.report.results import Results
from bench.spec.cell import Cell, PlannedCell, Resources
from bench.spec.metrics import Metric, declared_curves, declared_metrics, with_errors
from bench.spec.paper import Note, Paper, Reported, ReportedTable
from bench.spec.parts import built_in_parts
from bench.spec.plan import Plan
from bench.spec.recipe import Recipe, Use
from bench.spec.suite import Contrast, ShownMetric, Suite, Table
from bench.spec.work import Task, Train

PAPER = Paper(
    id="tiny",
    title="A Tiny Paper",
    authors=("A. Author", "B. Author"),
    year=2020,
    venue="Venue 2020",
    url="https://example.org/paper",
    notes=(Note(text="The spread is undefined.", source="Table 1"),),
)
TABLE = Table(contrast=Contrast(axis="method", pairs=(("l2+bss", "l2"),)))
RECIPE = Recipe(steps=10)
# What recipes that validate, or warm up, or score their source would record.
MORE_METRICS = {
    name: Metric(name, unit, best)
    for name, unit, best in (
        ("validation/top1", "%", "highest"), ("source/top1", "%", "highest"),
        ("warmup/steps", "", "lowest"), ("warmup/drop", "%", "lowest"),
    )
}  # fmt: skip
MORE_CURVES = {
    name: Metric(name, unit, best, "step")
    for name, unit, best in (
        ("validation/top1", "%", "highest"), ("anytime/test/top1", "%", "highest"),
        ("anytime/source/top1", "%", "highest"), ("features/distance", "", "lowest"),
        ("head/norm", "", "lowest"), ("anytime/test/loss", "", "lowest"),
    )
}  # fmt: skip
MADE = Provenance(
    code={"core": "a" * 64, "l2": "b" * 64},
    data={"dataset": "c" * 64, "train_images": 30},
    weights={"start": {"source": "shipped", "sha256": "d" * 64}},
    versions={"torch": "2.6.0"},
    machine={"device": "cpu", "os": "Linux"},
)


@dataclass(frozen=True)
class Known:
    """A cell's state as the command line passes it."""

    state: str
    reasons: tuple[str, ...] = ()
    disagrees: bool = False
    carried_by: tuple[Attestation, ...] = ()


@dataclass
class Study:
    """A plan with what the store has of it."""

    plan: Plan
    records: dict[str, Record] = field(default_factory=dict)
    states: dict[str, Known] = field(default_factory=dict)

    def cells(self, **where: Any) -> list[PlannedCell]:
        return [
            p
            for p in self.plan.cells
            if p.shown and all(p.labels[a] == v for a, v in where.items())
        ]

    def record(
        self, values: Iterable[float | None], *, made: Provenance = MADE, **where: Any
    ) -> None:
        """Give the cells at these axis values, seed by seed, their top-1; None leaves one out."""
        for planned, value in zip(self.cells(**where), values, strict=True):
            if value is not None:
                self.put(planned.cell, {"test/top1": value}, made)

    def put(
        self,
        cell: Cell,
        metrics: Mapping[str, float],
        made: Provenance = MADE,
        curves: Mapping[str, Curve] | None = None,
    ) -> None:
        outcome = Outcome("done", metrics=metrics, curves=curves or {}, provenance=made)
        self.records[cell.id] = Record(
            cell.to_json(), 1, "2026-01-01T00:00:00Z", "2026-01-01T00:00:12Z", 12.5, outcome
        )

    def lose(self, state: str, reasons: tuple[str, ...] = (), **where: Any) -> None:
        """Take the records of these cells away and set their state."""
        for planned in self.cells(**where):
            self.records.pop(planned.cell.id, None)
            self.states[planned.cell.id] = Known(state, reasons)

    def page(self, *reported: ReportedTable, stem: str | None = None) -> Page:
        given = Reported(tables=reported) if reported else None
        return build_page(self.results, reported=given, stem=stem)

    @property
    def results(self) -> Results:
        return Results(self.plan, self.records, self.states)

    def with_suite(self, **changes: Any) -> Study:
        suite = self.plan.suite.model_copy(update=changes)
        return Study(replace(self.plan, suite=suite), self.records, self.states)


def study(
    axes: Mapping[str, Iterable[Any]] | None = None,
    *,
    only: Any = lambda labels: True,
    table: Table = TABLE,
    labels: Mapping[str, Mapping[str, str]] | None = None,
    profile: str = "offline",
    recipes: Any = lambda labels: RECIPE,
    paper: Paper = PAPER,
    selection: tuple[str, ...] = ("last",),
) -> Study:
    """Return a study over the product of axes (those that ``only`` accepts), without records."""
    values = {
        "backbone": ["test_resnet"],
        "weights": ["random"],
        "dataset": ["pets"],
        "sampling_rate": [0.15, 1.0],
        "method": ["l2", "l2+bss"],
        "seed": [0, 1, 2],
        **(axes or {}),
    }
    planned = []
    works: dict[str, Train] = {}
    for combination in product(*values.values()):
        where = dict(zip(values, combination, strict=True))
        if only(where):
            seed = where.pop("seed")
            made = work(where, recipes({**where, "seed": seed}))
            shared = works.setdefault(made.canonical, made)
            planned.append(PlannedCell(Cell(shared, seed), where, seed))
    metrics, curves = declared(planned)
    suite = Suite(
        name="table1",
        title="A tiny table",
        source="Table 1",
        notes=(),
        table=table,
        metrics=tuple(
            ShownMetric(
                metric=column.metric,
                at=column.at,
                label=column.label,
                decimals=column.decimals,
                unit=known[column.metric].unit,
                best=known[column.metric].best,
            )
            for column in table.shown
            for known in [metrics if column.at is None else curves]
        ),
        labels={k: dict(v) for k, v in (labels or {}).items()},
        axes=tuple(values),
        selection=selection,
    )
    file = Path("suites/tiny/table1.yaml")
    plan = Plan(paper, suite, profile, tuple(planned), Resources(), file, metrics, curves)
    return Study(plan)


def work(where: Mapping[str, Any], recipe: Recipe) -> Train:
    """Return training by a method that is a penalty of its own name."""
    method, settings = str(where["method"]), {"weight": 0.5}
    return Train(
        network=where["backbone"],
        weights=where["weights"],
        tasks={
            "": Task(
                dataset=where["dataset"],
                sampling_rate=where["sampling_rate"],
                objective=Use(name="classification"),
            )
        },
        recipe=recipe,
        trainable=Use(name="all"),
        update=Use(name="gradient"),
        penalties=(Use(name=method, settings=settings, given=settings),),
    )


def declared(planned: Iterable[PlannedCell]) -> tuple[dict[str, Metric], dict[str, Metric]]:
    """Return what the cells will record, as a suite's plan has it, and what only some may."""
    metrics: dict[str, Metric] = {}
    curves: dict[str, Metric] = {}
    for cell in {p.cell.work: p.cell for p in planned}.values():
        earlier = [cell.tasks]
        metrics |= declared_metrics(cell, _part, earlier)
        curves |= declared_curves(cell, _part, earlier)
    return with_errors({**MORE_METRICS, **metrics}), with_errors({**MORE_CURVES, **curves})


def _part(kind: Any, name: str) -> Any:
    return built_in_parts()[kind, name]


def tables_of(markdown: str) -> list[list[list[str]]]:
    """Return the pipe tables of a page as rows of cells, split at unescaped pipes."""
    import re

    tables: list[list[list[str]]] = []
    inside = False
    for line in markdown.splitlines():
        if line.startswith("|"):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            if not inside:
                tables.append([])
            if not all(re.fullmatch(r":?-+:?", cell) for cell in cells):
                tables[-1].append(cells)
        inside = line.startswith("|")
    return tables


def section(markdown: str, title: str) -> str:
    """Return the part of a page below one heading."""
    _, _, rest = markdown.partition(f"\n## {title}\n")
    return rest.partition("\n## ")[0]
