"""A suite, its store and the state of its cells: what most commands begin with."""

from __future__ import annotations

import gc
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.spec.find import find_suite
from bench.spec.plan import Plan, load_plan

if TYPE_CHECKING:
    from bench.records.freshness import Expectations
    from bench.records.record import Record
    from bench.records.settling import SettlingRule
    from bench.records.store import CellState, Store
    from bench.report.claims.further import Further
    from bench.report.claims.verdict import Verdict
    from bench.report.results import Results

STATES = ("done", "running", "stale", "failed", "interrupted", "missing")


@dataclass(frozen=True)
class Session:
    """A plan beside what the store holds of it.

    Attributes
    ----------
    as_recorded
        Whether records that are stale by their code alone were taken for today's.
    """

    plan: Plan
    store: Store
    expected: Expectations
    states: Mapping[str, CellState]
    as_recorded: bool = False

    @property
    def name(self) -> str:
        """The suite's name with its paper's: ``bss/table2``."""
        return f"{self.plan.paper.id}/{self.plan.suite.name}"

    @property
    def excerpt_text(self) -> str:
        """What was taken of the suite, in a line; empty where it is all of it."""
        plan = self.plan
        if plan.excerpt is None or plan.whole is None:
            return ""
        of = f"{len(plan.shown):,} of {len(plan.whole.shown):,} cells of the table"
        return f"only {plan.excerpt}: {of}, and what they start from"

    def done(self) -> dict[str, Record]:
        """Return each done cell's record, by the cell's id."""
        return {
            cell_id: state.record
            for cell_id, state in self.states.items()
            if state.state == "done" and state.record is not None
        }

    def results(self) -> Results:
        """Return the plan with its records, as the report takes them."""
        from bench.report.arrays import StoredArrays
        from bench.report.results import Results

        return Results(self.plan, self.done(), self.states, StoredArrays(self.store))

    def verdicts(self) -> list[Verdict]:
        """Return the verdict on each claim about the suite, in the paper's order."""
        from bench.report.claims.verdict import verdicts

        return verdicts(self.results(), further_of(self))

    def counts(self) -> Counter[str]:
        """Return how many cells are in each state."""
        return Counter(state.state for state in self.states.values())


def open_session(suite: str, profile: str, store: Path, *, same_versions: bool = False) -> Session:
    """Read a suite and look up the state of each of its cells.

    Parameters
    ----------
    same_versions
        Whether a record made by other versions of libraries than those here is stale.
    """
    with no_collection():
        plan = load_plan(find_suite(suite), profile)
    return session_of(plan, store, same_versions=same_versions)


def session_of(
    plan: Plan, store: Path, *, same_versions: bool = False, as_recorded: bool = False
) -> Session:
    """Look up the state of each of a plan's cells; as :func:`open_session`.

    Parameters
    ----------
    as_recorded
        Whether to take records that are stale by their code alone for today's: to show them, and
        for nothing else.
    """
    from bench.data.folder_digest import dataset_digest
    from bench.records.expect import expectations, versions_here
    from bench.records.store import Store

    opened = Store(store)
    cells = list(plan.unique().values())
    expected = expectations(
        cells,
        plan.resources,
        lambda name: dataset_digest(name, plan.resources),
        fractions=plan.fractions,
        versions=versions_here() if same_versions else None,
    )
    with no_collection():
        states = opened.states(cells, expected)
    session = Session(plan, opened, expected, states)
    return _as_recorded(session) if as_recorded else session


def _as_recorded(session: Session) -> Session:
    """Return a session for which earlier code, where nothing else is otherwise, is today's."""
    from bench.cli.carry import assumed
    from bench.records.store import Store

    store = Store(session.store.root, assumed=assumed(session))
    with no_collection():
        states = store.states(session.plan.unique().values(), session.expected)
    return replace(session, store=store, states=states, as_recorded=True)


@contextmanager
def no_collection() -> Iterator[None]:
    """Look for no cycles among what is read, then or later: these many small objects have none."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.freeze()
            gc.enable()


def further_of(session: Session) -> Further | None:
    """Return the seeds beyond the suite's own; None where `run --until-decided` never began."""
    from bench.records.settling import settling_rule

    rule = settling_rule(session.store.layout, session.plan)
    return further_by(session, rule) if rule is not None else None


def further_by(session: Session, rule: SettlingRule, *, every: bool = False) -> Further:
    """Return the seeds that a rule allows for, with what the store holds of them."""
    from bench.report.claims.further import Further
    from bench.stats.sequential.looks import Looks

    longer = _longer(session, rule)
    looks = Looks(rule.looks, rule.alpha, rule.spending)
    return Further(longer.results(), looks, every)


def further_session(session: Session) -> Session | None:
    """Return the session of all seeds that settling may use; None where it never began."""
    from bench.records.settling import settling_rule

    rule = settling_rule(session.store.layout, session.plan)
    return _longer(session, rule) if rule is not None else None


def _longer(session: Session, rule: SettlingRule) -> Session:
    plan = load_plan(session.plan.file, session.plan.profile, seeds=rule.looks[-1])
    return session_of(plan, session.store.root, as_recorded=session.as_recorded)


def state_table(session: Session, *, limit: int = 60) -> str:
    """Return the cells by state, one row for each combination of the table's row axes."""
    from bench.cli.printing import table

    axes: Sequence[str] = session.plan.suite.table.rows
    rows = _group(session, axes)
    while len(rows) > limit and len(axes) > 1:
        axes = axes[:-1]
        rows = _group(session, axes)
    shown = [state for state in STATES if any(count[state] for count in rows.values())]
    lines = [
        [*key, *(count[state] or "" for state in shown), sum(count.values())]
        for key, count in rows.items()
    ]
    totals = session.counts()
    lines.append(
        [
            "all cells",
            *[""] * (len(axes) - 1),
            *(totals[s] or "" for s in shown),
            len(session.states),
        ]
    )
    align = [*["left"] * len(axes), *["right"] * (len(shown) + 1)]
    return table(lines, [*axes, *shown, "cells"], align)


def _group(session: Session, axes: Sequence[str]) -> dict[tuple[str, ...], Counter[str]]:
    rows: defaultdict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    measured: defaultdict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    seen: set[str] = set()
    for planned in session.plan.cells:
        if planned.cell.id in seen:
            continue
        seen.add(planned.cell.id)
        state = session.states[planned.cell.id].state
        if planned.shown:
            key = tuple(str(planned.place[axis]) for axis in axes)
            rows[key][state] += 1
        else:
            key = (f"({planned.name})", *[""] * (len(axes) - 1))
            measured[key][state] += 1
    return {**measured, **rows}
