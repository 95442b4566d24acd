"""Several suites as one: what ``run``, ``plan``, ``status`` and ``report`` are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.session import Session, open_plan
from bench.errors import SpecError, UserError, did_you_mean
from bench.spec.find import find_suite, list_suites, paper_called
from bench.spec.layers import profile_names

if TYPE_CHECKING:
    from bench.records.freshness import Expectations
    from bench.records.store import CellState
    from bench.spec.cell import PlannedCell, Resources


@dataclass(frozen=True)
class Joint:
    """Suites under one profile on one store; a cell of several of them is one cell.

    Attributes
    ----------
    named
        What the user has called them.
    """

    named: tuple[str, ...]
    sessions: tuple[Session, ...]

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

    @property
    def suites(self) -> dict[str, frozenset[str]]:
        """Ids of each suite's cells by its name, where there are several suites."""
        if not self.several:
            return {}
        return {session.name: frozenset(session.states) for session in self.sessions}

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
    named: Sequence[str], profile: str, store: Path, *, same_versions: bool = False
) -> Joint:
    """Read suites, and look up the state of each of their cells.

    Parameters
    ----------
    named
        Suites, and papers: of a paper's suites those that have the profile. Each counts once.

    Raises
    ------
    UserError
        If anything is wrong with one suite; where there are several, with all that is wrong.
    """
    files = dict.fromkeys(file for name in named for file in _files(name, profile))
    sessions: list[Session] = []
    problems: list[UserError] = []
    for file in files:
        try:
            sessions.append(open_plan(file, profile, store, same_versions=same_versions))
        except UserError as error:
            problems.append(error)
    if len(files) == 1 and problems:
        raise problems[0]
    if problems:
        told = "\n".join(dict.fromkeys(map(str, problems)))
        count = f"{len(problems)} of {len(files)} suites"
        raise SpecError(f"{count} cannot be used, and nothing is begun\n{told}")
    _check_names(sessions)
    return Joint(tuple(named), tuple(sessions))


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
