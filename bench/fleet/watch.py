"""Watching a fleet: how far its cells are, and more pilots when there is more to do."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from bench.errors import UserError
from bench.fleet.crew import PilotState, crew_of
from bench.fleet.fleet import Fleet, Fleets, with_submission
from bench.fleet.outlook import Outlook, outlook, why_failed
from bench.fleet.settings import SlurmSettings
from bench.fleet.slurm import SlurmError, end, jobs_of, submit
from bench.records.owner import this_process
from bench.records.store import CellState, Store
from bench.scheduling.progress import Progress, Tally
from bench.scheduling.summary import FailedCell, RunSummary, Share
from bench.spec.cell import PlannedCell

_SHOWN = 20


class Watch:
    """One fleet as its watching side sees it: only the store and Slurm are looked at.

    Parameters
    ----------
    plan
        Parents before children, each cell once.
    look
        Returns each cell's state now.
    slots
        Cells at a time at one pilot.
    retries
        As each pilot has it.
    suites
        Name to the ids of its cells, of each suite that is told of by itself.
    every
        Seconds between looks, at least; a look takes no more than a tenth of the time.
    """

    def __init__(
        self,
        fleet: Fleet,
        fleets: Fleets,
        settings: SlurmSettings,
        plan: Sequence[PlannedCell],
        look: Callable[[], Mapping[str, CellState]],
        store: Store,
        progress: Progress,
        *,
        slots: int,
        retries: int,
        suites: Mapping[str, Collection[str]] | None = None,
        every: float = 5.0,
    ) -> None:
        self.fleet = replace(fleet, watcher=this_process(fleet.id))
        self.fleets = fleets
        self.settings = settings
        self.plan = plan
        self.look = look
        self.store = store
        self.progress = progress
        self.slots = slots
        self.retries = retries
        self.suites = suites or {}
        self.every = every
        self.states = look()
        self.since = {cell_id: state.attempts for cell_id, state in self.states.items()}
        self.outlook = self._outlook()
        self.before = len(self.outlook.done)
        self.started = time.monotonic()
        self.told: set[str] = set()
        self.failures: list[FailedCell] = []
        self.at_submission: int | None = None

    def begin(self) -> int:
        """Submit the first pilots; return how many.

        Raises
        ------
        SlurmError
            If Slurm takes none.
        """
        # Whoever cancels must find the fleet before its first job.
        self.fleets.write(self.fleet)
        return self.grow()

    def run(self) -> RunSummary:
        """Look until no cell is left, or the fleet is cancelled, or Ctrl-C.

        Raises
        ------
        UserError
            If pilots end without having done anything.
        """
        self.progress.begin()
        interrupted = False
        try:
            while not self.outlook.ended and not self.fleets.cancelled(self.fleet.id):
                began = time.monotonic()
                self.step()
                self.progress.update(self.tally)
                time.sleep(max(self.every, 9 * (time.monotonic() - began)))
        except KeyboardInterrupt:
            interrupted = True
        finally:
            self.progress.end(self.tally())
        if self.fleets.cancelled(self.fleet.id) and not self.outlook.ended:
            raise UserError(f"the fleet {self.fleet.id} was cancelled")
        return self.summary(interrupted)

    def step(self) -> None:
        """Look once at the store and at Slurm, and submit what there is to do for more pilots."""
        self.states = self.look()
        self.outlook = self._outlook()
        self._tell_failures()
        try:
            self.grow()
        except SlurmError as error:
            # It may be away for a while; the pilots need neither it nor us.
            self._once(str(error))

    def grow(self) -> int:
        """Submit as many pilots as have something to do beside those that are; return how many.

        Raises
        ------
        SlurmError
            If Slurm does not answer, or refuses.
        UserError
            If all pilots have ended and nothing came of them.
        """
        jobs = jobs_of([self.fleet]).get(self.fleet.id, [])
        crew = crew_of(self.fleet, self.fleets, jobs, self.store)
        for pilot in crew:
            if pilot.refused:
                self._once(f"pilot {pilot.job} computes nothing: {pilot.refused}")
        more = pilots_wanted(self.outlook, len(jobs), self._free(crew), self.slots, self.settings)
        if more <= 0 or self.fleets.cancelled(self.fleet.id):
            return 0
        ended = sum(state.attempts for state in self.states.values())
        if not jobs and self.at_submission == ended:
            raise UserError(self._why_nothing(crew), remedy="see the log; then run it again")
        job = submit(self.fleet, self.settings, more, self.fleets.logs(self.fleet.id))
        self.at_submission = ended
        self.fleet = with_submission(self.fleet, job, more)
        self.fleets.write(self.fleet)
        # Who has cancelled meanwhile did not find this one.
        if self.fleets.cancelled(self.fleet.id):
            end(self.fleet)
            return 0
        self.progress.note(f"fleet {self.fleet.id}: {more} more pilots, in job {job}")
        return more

    def _free(self, crew: Sequence[PilotState]) -> int:
        live = [pilot for pilot in crew if pilot.state != "ended"]
        return sum(max(self.slots - pilot.holds, 0) for pilot in live)

    def _outlook(self) -> Outlook:
        return outlook(self.plan, self.states, self.store, self.since, self.retries)

    def _tell_failures(self) -> None:
        for planned in self.plan:
            cell_id = planned.cell.id
            if cell_id not in self.outlook.failed or cell_id in self.told:
                continue
            attempt, failure = why_failed(self.states[cell_id])
            self.told.add(cell_id)
            self.failures.append(FailedCell(planned, attempt, failure))
            if failure.kind != "parent":
                self.progress.failed(planned, attempt, failure, False)

    def _once(self, text: str) -> None:
        if text not in self.told:
            self.told.add(text)
            self.progress.note(text)

    def _why_nothing(self, crew: Sequence[PilotState]) -> str:
        message = f"the pilots of fleet {self.fleet.id} have ended, and nothing came of them"
        if refused := next((pilot.refused for pilot in crew if pilot.refused), ""):
            return f"{message}: they are not what was submitted: {refused}"
        logs = sorted(
            self.fleets.logs(self.fleet.id).glob("*.out"), key=lambda file: file.stat().st_mtime
        )
        if not logs:
            return f"{message}; they have left no log"
        lines = logs[-1].read_text(errors="replace").splitlines()[-_SHOWN:]
        return "\n  | ".join([f"{message}; at the end of {logs[-1]}:", *lines])

    def tally(self) -> Tally:
        """Return where the cells are, as all runners of the store have brought them."""
        now = self.outlook
        done = len(now.done) - self.before
        left = len(now.running) + len(now.open) + len(now.waiting)
        elapsed = time.monotonic() - self.started
        return Tally(
            total=len(self.states),
            done=max(done, 0),
            skipped=self.before,
            running=0,
            elsewhere=len(now.running),
            failed=len(now.failed),
            left=left * elapsed / done if done > 0 else None,
            suites=self._shares(),
        )

    def summary(self, interrupted: bool) -> RunSummary:
        """Return what has come of the fleet."""
        now = self.outlook
        return RunSummary(
            done=max(len(now.done) - self.before, 0),
            before=self.before,
            elsewhere=0,
            # A pilot that came later may have done what was given up.
            failures=tuple(f for f in self.failures if f.planned.cell.id in now.failed),
            unfinished=len(now.running) + len(now.open) + len(now.waiting),
            attempts=0,
            cell_seconds=0.0,
            wall_seconds=time.monotonic() - self.started,
            slots=self.slots,
            interrupted=interrupted,
            suites=self._shares(),
        )

    def _shares(self) -> tuple[Share, ...]:
        return tuple(
            Share(
                name,
                total=len(cells),
                done=len(self.outlook.done.intersection(cells)),
                failed=len(self.outlook.failed.intersection(cells)),
            )
            for name, cells in self.suites.items()
        )


def pilots_wanted(now: Outlook, live: int, free: int, slots: int, settings: SlurmSettings) -> int:
    """Return how many more pilots there is something to do for.

    Parameters
    ----------
    live
        Pilots that run or wait in Slurm's queue.
    free
        Cells that these could begin beside what they have.
    """
    beyond = max(len(now.open) - free, 0)
    return min(settings.max_pilots - live, -(-beyond // slots))
