"""A cell's page: what it is, what came of it, its curves, its log and its attempts."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.records.record import Record, candidate_of
from bench.records.store import MISSING, CellState, Store
from bench.report.numbers import number, plural
from bench.report.site.cell_curves import Group, groups
from bench.report.site.grid import Column, Field, Grid, Row, number_field, plain_grid
from bench.report.site.names import Names
from bench.report.site.track import Track
from bench.report.tables.layout import axis_name, label
from bench.report.values import unit_scale
from bench.spec.cell import Cell, Scalar

# Of a longer log its end is shown.
LOG_BYTES = 64 * 1024
_DIGEST = 12
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-_]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True)
class CellOnSite:
    """A cell with every place that it has in the site's suites."""

    cell: Cell
    state: CellState
    places: Sequence[tuple[Track, Mapping[str, Scalar]]]


@dataclass(frozen=True)
class CellPage:
    """All that a cell's page shows; ``groups`` are its curves by the file of their picture."""

    id: str
    title: str
    on_site: CellOnSite
    record: Record | None
    facts: Grid
    metrics: Grid | None
    groups: Mapping[str, Group]
    parents: Sequence[Field]
    children: str
    attempts: Grid | None
    attempts_made: Sequence[Record]
    spec: str
    provenance: Grid | None
    log: str
    log_of: int | None
    log_cut: bool


class Cells:
    """Every cell of a site's tracks, once, and who starts from whom."""

    def __init__(self, tracks: Sequence[Track]) -> None:
        cells: dict[str, Cell] = {}
        states: dict[str, CellState] = {}
        places: dict[str, list[tuple[Track, Mapping[str, Scalar]]]] = {}
        for track in tracks:
            for planned in track.plan.cells:
                cell_id = planned.cell.id
                cells.setdefault(cell_id, planned.cell)
                places.setdefault(cell_id, []).append((track, planned.labels))
                state = track.states.get(cell_id, MISSING)
                # A suite that does not know a cell's parent judges it with less knowledge.
                if cell_id not in states or not states[cell_id].done:
                    states[cell_id] = state
        self._cells = {i: CellOnSite(c, states[i], places[i]) for i, c in cells.items()}
        self._children = Counter(
            parent.id for cell in cells.values() for parent in cell.parents.values()
        )

    def chosen(self, which: str) -> list[CellOnSite]:
        """Return the cells that have a page: ``none``, ``recorded`` or ``all``."""
        if which == "none":
            return []
        return [c for c in self._cells.values() if which == "all" or c.state.attempts]

    def children(self, cell_id: str) -> int:
        """Return how many cells of the site start from one."""
        return self._children[cell_id]


def cell_page(
    on_site: CellOnSite, cells: Cells, linked: Mapping[str, str], store: Store
) -> CellPage:
    """Make a cell's page; ``linked`` are the cells with a page of their own, by id."""
    cell, state = on_site.cell, on_site.state
    attempts = store.attempts(cell.id) if state.attempts else []
    record = state.record
    number_of = record.attempt if record is not None else None
    log, cut = _log(store.log(cell.id, number_of)) if number_of is not None else ("", False)
    shown = groups(record, units(on_site)) if record is not None else []
    starting = cells.children(cell.id)
    return CellPage(
        id=cell.id,
        title=title(on_site),
        on_site=on_site,
        record=record,
        facts=_facts(on_site),
        metrics=_metrics(record, units(on_site))
        if record is not None and record.outcome.metrics
        else None,
        groups={Names.curves(cell.id, group.name, group.key): group for group in shown},
        parents=[
            Field(f"{role}: {parent.id}", link=linked.get(parent.id))
            for role, parent in sorted(cell.parents.items())
        ],
        children=f"{plural(starting, 'cell')} of this site start from it" if starting else "",
        attempts=_attempts(attempts) if attempts else None,
        attempts_made=attempts,
        spec=json.dumps(
            cell.to_json(candidate_of(record.outcome) if record is not None else None),
            indent=2,
            ensure_ascii=False,
        ),
        provenance=_provenance(record) if record is not None else None,
        log=log,
        log_of=number_of,
        log_cut=cut,
    )


def title(on_site: CellOnSite) -> str:
    """Return a cell's name: its labels in the first suite that shows it, or what it is for."""
    for track, labels in on_site.places:
        if labels:
            names = [_named(track, axis, labels[axis]) for axis in track.varying if axis in labels]
            return ", ".join(names)
    cell = on_site.cell
    kind = "source training" if cell.kind == "train" else cell.kind
    told = (cell.backbone, cell.dataset, f"seed {cell.seed}")
    # A choice has no network and no data.
    return f"{kind}: {', '.join(filter(None, told))}"


def _named(track: Track, axis: str, value: Scalar) -> str:
    shown = label(track.plan.suite, axis, value)
    bare = isinstance(value, int | float) and axis != "sampling_rate" and shown[:1].isdigit()
    return f"{axis_name(axis)} {shown}" if bare else shown


def _facts(on_site: CellOnSite) -> Grid:
    cell = on_site.cell
    facts: dict[str, str] = {
        "kind": cell.kind,
        "backbone": cell.backbone,
        "weights": ", ".join(cell.weights),
        "dataset": cell.dataset,
        "sampling rate": ", ".join(f"{100 * t.sampling_rate:g}%" for t in cell.tasks.values()),
        "seed": str(cell.seed),
    }
    for track, labels in on_site.places:
        for axis, value in labels.items():
            facts.setdefault(axis_name(axis), label(track.plan.suite, axis, value))
    return plain_grid("Axes", ["axis", "value"], list(facts.items()), left=2)


def units(on_site: CellOnSite) -> dict[str, str]:
    """Return metric or curve to its unit, as the suites that the cell is in declare them."""
    plans = [track.plan for track, _ in on_site.places]
    return {name: m.unit for plan in plans for name, m in {**plan.curves, **plan.metrics}.items()}


def _metrics(record: Record, units: Mapping[str, str]) -> Grid:
    rows = []
    for name, value in sorted(record.outcome.metrics.items()):
        unit = units.get(name, "")
        percent = f"{number(unit_scale(unit) * value, 2)}%" if unit == "%" else ""
        rows.append(
            Row([Field(name), number_field(value, f"{value:.6g}".replace("-", "−")),
                 number_field(value if percent else None, percent)])
        )  # fmt: skip
    columns = [Column("metric"), Column("as recorded", True), Column("in percent", True)]
    return Grid("Metrics", columns, rows)


def _attempts(records: Sequence[Record]) -> Grid:
    rows = []
    for record in records:
        failure = record.outcome.failure
        why = f"{failure.kind}: {failure.message}" if failure is not None else ""
        rows.append(
            Row(
                [
                    number_field(record.attempt, str(record.attempt)),
                    Field(record.outcome.status, kind=f"badge {record.outcome.status}"),
                    Field(_moment(record.started)),
                    Field(_moment(record.ended)),
                    number_field(record.seconds, f"{record.seconds:,.1f}"),
                    Field(why),
                ]
            )
        )
    columns = [Column("attempt", True), Column("ended as"), Column("started (UTC)"),
               Column("ended (UTC)"), Column("seconds", True), Column("why")]  # fmt: skip
    return Grid("Attempts", columns, rows, wrap=True)


def _provenance(record: Record) -> Grid | None:
    made = record.outcome.provenance
    rows = []
    for what in ("code", "data", "weights", "parents", "versions", "machine"):
        for name, value in sorted(getattr(made, what).items()):
            if isinstance(value, Mapping):
                text = ", ".join(f"{k}: {_short(v)}" for k, v in sorted(value.items()))
            else:
                text = _short(value)
            rows.append([what, str(name), text])
    rows += [["seconds", name, f"{v:.3f}"] for name, v in record.outcome.timings.items()]
    rows += [["artifact", a.file, _short(a.sha256)] for a in record.outcome.artifacts.values()]
    return plain_grid("Provenance", ["what", "of", "value"], rows, left=3) if rows else None


def _short(value: object) -> str:
    text = str(value)
    is_digest = len(text) >= 40 and all(c in "0123456789abcdef" for c in text)
    return text[:_DIGEST] if is_digest else text


def _moment(text: str) -> str:
    return text[:19].replace("T", " ")


def _log(path: Path) -> tuple[str, bool]:
    """Return a log's end as text that HTML can hold, and whether its beginning is left out."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - LOG_BYTES))
            data = file.read()
    except OSError:
        return "", False
    text = data.decode("utf-8", errors="replace")
    return clean(text), size > LOG_BYTES


def clean(text: str) -> str:
    """Return a terminal's text without colours, bells and moves; a return begins a line."""
    plain = _ESCAPES.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROLS.sub("�", plain)
