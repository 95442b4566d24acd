"""Several suites as one: what ``run``, ``plan``, ``status`` and ``report`` are given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.session import Session, no_collection, session_of
from bench.errors import SpecError, UserError, did_you_mean
from bench.spec.excerpt import Excerpt, excerpt_of, excerpted
from bench.spec.find import find_suite, list_suites, paper_called
from bench.spec.layers import profile_names
from bench.spec.plan import Plan, load_plan

if TYPE_CHECKING:
    from bench.records.freshness import Expectations
    from bench.records.store import CellState
    from bench.scheduling.engines.engine import Engine
    from bench.scheduling.options import OnDone, RunOptions
    from bench.scheduling.progress import Progress
    from bench.scheduling.summary import RunSummary
    from bench.spec.cell import PlannedCell, Resources, Scalar


@dataclass(frozen=True)
class Row:
    """A planned cell with its state: a line of ``bench plan --json``.

    Attributes
    ----------
    suite
        Name of its suite with its paper's.
    labels
        Axis to value; empty for a cell that is there only because others start from it.
    name
        What such a cell is there for; empty for one of the table.
    parents
        Role to the id of the cell that it starts from, and the artifact.
    reasons
        Why it is stale.
    """

    suite: str
    id: str
    kind: str
    labels: Mapping[str, Scalar]
    level: int
    name: str
    parents: Mapping[str, Mapping[str, str]]
    reasons: Sequence[str]
    state: str

    @classmethod
    def of(cls, planned: PlannedCell, session: Session) -> Row:
        """Return the row of a planned cell."""
        cell, state = planned.cell, session.states[planned.cell.id]
        parents = {r: {"id": p.id, "artifact": p.artifact} for r, p in cell.parents.items()}
        return cls(
            session.name,
            cell.id,
            cell.kind,
            planned.labels,
            planned.level,
            planned.name,
            parents,
            state.reasons,
            state.state,
        )


@dataclass(frozen=True)
class Joint:
    """Suites under one profile on one store; a cell of several of them is one cell.

    Attributes
    ----------
    named, store
        What the user has called them, and their store.
    excerpt
        What was taken of them; None where it is all.
    left_out
        Names of the suites of which nothing was taken.
    """

    named: tuple[str, ...]
    sessions: tuple[Session, ...]
    store: Path
    excerpt: Excerpt | None = None
    left_out: tuple[str, ...] = ()

    @property
    def several(self) -> bool:
        """Whether there is more than one suite."""
        return len(self.sessions) > 1

    @cached_property
    def cells(self) -> list[PlannedCell]:
        """The suites' cells, one suite after the other."""
        return [planned for session in self.sessions for planned in session.plan.cells]

    @cached_property
    def states(self) -> dict[str, CellState]:
        """Each cell's state, by its id."""
        return {cell: state for each in self.sessions for cell, state in each.states.items()}

    @cached_property
    def expected(self) -> Expectations:
        """What the records of all cells should say.

        Raises
        ------
        SpecError
            If one name is two things in two suites.
        """
        from bench.records.expect import joined

        self._check_fractions()
        return joined({session.name: session.expected for session in self.sessions})

    def refuse_two_of_a_name(self) -> None:
        """Raise SpecError if one name is two things in two suites; looks at no data."""
        _ = self.expected

    @property
    def suites(self) -> dict[str, frozenset[str]]:
        """Ids of each suite's cells by its name, where there are several suites."""
        if not self.several:
            return {}
        return {session.name: frozenset(session.states) for session in self.sessions}

    @cached_property
    def artifacts(self) -> dict[str, frozenset[str]]:
        """What cells of the whole suites start from, by the id of the cell that leaves it.

        An excerpt's cells leave it too: the rest of the suite would else train them again.
        """
        found: dict[str, set[str]] = {}
        for session in self.sessions:
            for planned in (session.plan.whole or session.plan).cells:
                for parent in planned.cell.parents.values():
                    found.setdefault(parent.id, set()).add(parent.artifact)
        return {cell_id: frozenset(names) for cell_id, names in found.items()}

    def again(self, verb: str, *more: str) -> str:
        """Return a command for the same cells on the same store, as a shell takes it."""
        from bench.cli.printing import again

        profile = self.sessions[0].plan.profile
        options = self.excerpt.options if self.excerpt is not None else ()
        return again(verb, self.named, profile, self.store, *options, *more)

    def rows(self) -> Iterator[Row]:
        """Yield each planned cell of each suite, parents before children."""
        for session in self.sessions:
            for planned in session.plan.cells:
                yield Row.of(planned, session)

    def execute(
        self,
        cells: Sequence[PlannedCell],
        engine: Engine,
        options: RunOptions | None = None,
        progress: Progress | None = None,
        on_done: OnDone | None = None,
    ) -> RunSummary:
        """Bring cells of these suites, or further seeds of theirs, to their end."""
        from bench.scheduling.run import run

        return run(
            cells,
            self.sessions[0].store,
            engine,
            resources=self.resources(cells),
            expectations=self.expected,
            options=options,
            progress=progress,
            # Looking up a hundred thousand cells takes a while.
            states=self.states if {p.cell.id for p in cells} == self.states.keys() else None,
            suites=self.suites,
            on_done=on_done,
            artifacts=self.artifacts if self.excerpt is not None else None,
        )

    def resources(self, cells: Sequence[PlannedCell]) -> dict[str, Resources]:
        """Return where each cell's own things lie; further seeds' where those of the suite do."""
        of = {
            cell: session.plan.resources
            for session in reversed(self.sessions)
            for cell in session.states
        }
        first = self.sessions[0].plan.resources
        return {planned.cell.id: of.get(planned.cell.id, first) for planned in cells}

    def _check_fractions(self) -> None:
        """Refuse a metric that is a fraction in one suite, and may be any number in another."""
        first: dict[str, tuple[str, bool]] = {}
        for session in self.sessions:
            plan = session.plan
            for name in (*plan.metrics, *plan.curves):
                is_fraction = name in plan.fractions
                suite, was = first.setdefault(name, (session.name, is_fraction))
                if was != is_fraction:
                    raise SpecError(
                        f"the unit of {name} in {session.name} is another than in {suite}",
                        remedy="run them one after the other",
                    )


def open_joint(
    named: Sequence[str],
    profile: str,
    store: Path,
    *,
    only: Sequence[str] = (),
    same_versions: bool = False,
    as_recorded: bool = False,
) -> Joint:
    """Read suites, and look up the state of each of their cells.

    Parameters
    ----------
    named
        Suites, and papers: of a paper's suites those that have the profile. Each counts once.
    only
        What to take of them, as ``--only`` has it; all where there is nothing.
    same_versions, as_recorded
        As :func:`~bench.cli.session.session_of` has them.

    Raises
    ------
    UserError
        If anything is wrong with one suite; where there are several, with all that is wrong.
    """
    excerpt = excerpt_of(only)
    files = list(dict.fromkeys(file for name in named for file in _files(name, profile)))
    plans, problems = _loaded(files, profile)
    taken: list[Plan | None] = [*plans]
    # Of a suite that is broken nobody knows what it has.
    if excerpt is not None and not problems:
        taken = excerpted(plans, excerpt)
    sessions: list[Session] = []
    for plan in taken:
        try:
            if plan is not None:
                asked = {"same_versions": same_versions, "as_recorded": as_recorded}
                sessions.append(session_of(plan, store, **asked))
        except UserError as error:
            problems.append(error)
    if len(files) == 1 and problems:
        raise problems[0]
    if problems:
        told = "\n".join(dict.fromkeys(map(str, problems)))
        count = f"{len(problems)} of {len(files)} suites"
        raise SpecError(f"{count} cannot be used, and nothing is begun\n{told}")
    _check_names(sessions)
    without = (whole for whole, plan in zip(plans, taken, strict=True) if plan is None)
    left_out = tuple(f"{plan.paper.id}/{plan.suite.name}" for plan in without)
    return Joint(tuple(named), tuple(sessions), store, excerpt, left_out)


def _loaded(files: Sequence[Path], profile: str) -> tuple[list[Plan], list[UserError]]:
    """Return the plans of those that are whole, and what is wrong with the others."""
    plans: list[Plan] = []
    problems: list[UserError] = []
    for file in files:
        try:
            with no_collection():
                plans.append(load_plan(file, profile))
        except UserError as error:
            problems.append(error)
    return plans, problems


def _files(name: str, profile: str) -> list[Path]:
    """Return the file of a suite, or those of a paper's suites that have a profile."""
    paper = paper_called(name)
    if paper is None:
        return [find_suite(name)]
    known = {file: profile_names(file) for file in list_suites(paper)}
    having = [file for file, profiles in known.items() if profile in profiles]
    if not having:
        everywhere = sorted({each for profiles in known.values() for each in profiles})
        raise SpecError(
            f"no suite of this paper has a profile {profile!r}",
            file=paper,
            remedy=did_you_mean(profile, everywhere),
        )
    return having


def _check_names(sessions: Sequence[Session]) -> None:
    """Refuse two suites of one name: their pages would be one file."""
    first: dict[str, Path] = {}
    for session in sessions:
        file = first.setdefault(session.name, session.plan.file)
        if file != session.plan.file:
            raise SpecError(
                f"{file} is called {session.name} too",
                file=session.plan.file,
                remedy="give one of their papers another id, or name one of them",
            )
