"""How a fleet's pilots are: what Slurm, their own reports and their leases say of each."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from bench.fleet.duty import Report, reports_of
from bench.fleet.fleet import Fleet, Fleets
from bench.fleet.slurm import JobState
from bench.records.lease import living
from bench.records.owner import owner_of
from bench.records.store import Store

ENDED = "ended"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class PilotState:
    """One pilot.

    Attributes
    ----------
    state
        Slurm's word in small letters; ``ended`` where Slurm knows it no more; where Slurm cannot
        be asked, ``running`` by its heartbeat, else ``unknown``.
    done, holds
        Cells that it has brought to their end, through all its restarts, and has now.
    """

    job: str
    state: str
    node: str
    reason: str
    done: int
    holds: int
    restarts: int
    refused: str

    @property
    def line(self) -> str:
        """The pilot in one line."""
        where = f" on {self.node}" if self.node and self.state != "pending" else ""
        why = f" ({self.reason})" if self.state == "pending" and self.reason else ""
        cells = f"{self.done:,} cells done" + (f", holds {self.holds:,}" if self.holds else "")
        again = f", requeued {self.restarts} times" if self.restarts > 1 else ""
        again = ", requeued once" if self.restarts == 1 else again
        refused = f"; refused: {self.refused}" if self.refused else ""
        return f"pilot {self.job}: {self.state}{where}{why}, {cells}{again}{refused}"


def crew_of(
    fleet: Fleet, fleets: Fleets, jobs: Sequence[JobState] | None, store: Store
) -> list[PilotState]:
    """Return a fleet's pilots, in the order in which they were submitted.

    Parameters
    ----------
    jobs
        What Slurm says of them; None where it cannot be asked.
    """
    reports: dict[str, list[Report]] = {}
    for report in reports_of(fleets, fleet.id):
        reports.setdefault(report.job, []).append(report)
    known = {job.job: job for job in jobs or ()}
    held = _held(store) if reports else {}
    # A job whose id was never written is known to Slurm, and to itself.
    names = dict.fromkeys((*fleet.jobs, *known, *reports))
    return [
        _pilot(name, known.get(name), reports.get(name, []), held, jobs is not None)
        for name in names
    ]


def _pilot(
    name: str,
    job: JobState | None,
    reports: Sequence[Report],
    held: dict[tuple[str, int], int],
    asked: bool,
) -> PilotState:
    last = reports[-1] if reports else None
    alive = last is not None and not last.ended and (last.host, last.pid) in held
    if job is not None:
        state = job.state.lower()
    elif asked or (last is not None and last.ended):
        state = ENDED
    else:
        state = "running" if alive else UNKNOWN
    return PilotState(
        job=name,
        state=state,
        node=(job.node if job is not None else "") or (last.node if last is not None else ""),
        reason=job.reason if job is not None else "",
        done=sum(report.done for report in reports),
        holds=held[last.host, last.pid] if alive and last is not None else 0,
        restarts=max((report.restart for report in reports), default=0),
        refused=last.refused if last is not None else "",
    )


def _held(store: Store) -> dict[tuple[str, int], int]:
    """Return how many cells each living runner has, by its host and process."""
    found = {}
    now = store.now()
    for file in store.layout.runners.glob("*.json"):
        owner = owner_of(file)
        if owner is not None and living(file, now, store.ttl) is not None:
            with contextlib.suppress(OSError):
                # Each lease is one more name of the owner's file.
                found[owner.host, owner.pid] = file.stat().st_nlink - 1
    return found
