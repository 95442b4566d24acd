"""``bench cancel``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.options import store_option

if TYPE_CHECKING:
    from bench.fleet.fleet import Fleet

EPILOG = """\b
Example:
  bench cancel                     all fleets of the store
  bench cancel 3f9a01bc --store results
"""
# A pilot stops its cells and records them: seconds, unless a cell does not let go.
_PATIENCE = 30.0
_POLL = 0.5


@click.command("cancel", epilog=EPILOG)
@click.argument("names", metavar="[FLEET...]", nargs=-1)
@store_option
def command(names: tuple[str, ...], store: Path) -> None:
    """Cancel what `bench run --engine slurm` has submitted: FLEETs, or all of a store.

    Pilots that run stop their cells, which are recorded as cancelled; those that wait never
    begin. Records stay, and a later run goes on from them.
    """
    from bench.fleet.fleet import Fleets
    from bench.records.store import Store

    fleets = Fleets(Store(store).layout)
    asked = [fleets.get(name) for name in names] if names else fleets.found()
    for fleet in asked:
        # First of all: who submits just now looks for it afterwards.
        fleets.cancel(fleet)
    if not asked:
        click.echo("there is no fleet here")
        return
    ended = _end(asked)
    for fleet in asked:
        count = ended.get(fleet.id, 0)
        click.echo(f"fleet {fleet.id}: {count or 'no'} pilot{'' if count == 1 else 's'} ended")


def _end(fleets: list[Fleet]) -> dict[str, int]:
    """End the jobs of fleets, first as a time limit does; return how many each had."""
    from bench.fleet.slurm import end, jobs_of

    had = {fleet_id: len(jobs) for fleet_id, jobs in jobs_of(fleets).items()}
    for fleet in fleets:
        if fleet.id in had:
            end(fleet, "--state=PENDING")
            end(fleet, "--state=RUNNING", "--signal=USR2")
    deadline = time.monotonic() + _PATIENCE
    while (left := jobs_of(fleets)) and time.monotonic() < deadline:
        if all(job.state == "COMPLETING" for jobs in left.values() for job in jobs):
            break
        time.sleep(_POLL)
    for fleet in fleets:
        # Also what was submitted meanwhile, and a pilot that does not let go.
        end(fleet)
    return had
