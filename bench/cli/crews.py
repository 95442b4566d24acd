"""A store's fleets as ``bench status`` prints them and ``bench clean`` removes them."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.fleet.fleet import Fleet, Fleets
    from bench.fleet.slurm import JobState
    from bench.records.store import Store


def print_fleets(store: Store) -> None:
    """Say of each fleet of a store where its pilots are, and what they have done."""
    from bench.fleet.crew import crew_of
    from bench.fleet.fleet import Fleets

    fleets = Fleets(store.layout)
    found = fleets.found()
    if not found:
        return
    jobs, trouble = _jobs(found)
    if trouble:
        click.echo(f"\n{trouble}")
    for fleet in found:
        known = None if jobs is None else jobs.get(fleet.id, [])
        mark = ", cancelled" if fleets.cancelled(fleet.id) else ""
        what = f"{', '.join(fleet.suites)}, profile {fleet.profile}"
        click.echo(f"\nfleet {fleet.id} of {fleet.begun}{mark}: {what}")
        for pilot in crew_of(fleet, fleets, known, store):
            click.echo(f"  {pilot.line}")


def remove_fleets(store: Store, *, dry_run: bool) -> int:
    """Remove the files of fleets that are over; return how many fleets. Leave all in doubt.

    A fleet is over when Slurm knows none of its jobs and nobody is there who could submit more.
    Where Slurm cannot be asked, none is.
    """
    from bench.fleet.fleet import Fleets

    fleets = Fleets(store.layout)
    found = fleets.found()
    # Who submits writes the file first: what has no job now may have one in a moment.
    over = [fleet for fleet in found if _is_left(fleet, fleets, store)]
    jobs, _ = _jobs(over)
    dead = [fleet for fleet in over if jobs is not None and not jobs.get(fleet.id)]
    for fleet in dead:
        files = fleets.files(fleet.id)
        if dry_run:
            for file in files:
                click.echo(file)
            continue
        shutil.rmtree(fleets.logs(fleet.id), ignore_errors=True)
        for file in files:
            file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        fleets.folder.rmdir()
    return len(dead)


def _jobs(fleets: Sequence[Fleet]) -> tuple[Mapping[str, list[JobState]] | None, str]:
    """Return the jobs of fleets, or None and why Slurm cannot be asked."""
    from bench.fleet.slurm import SlurmError, jobs_of

    try:
        return jobs_of(fleets), ""
    except SlurmError as error:
        return None, f"{error.message}; pilots are told by their heartbeats"


def _is_left(fleet: Fleet, fleets: Fleets, store: Store) -> bool:
    from bench.records.litter import DEAD_AFTER

    lives = fleet.watcher.lives()
    if lives is None:
        with contextlib.suppress(OSError):
            written = (fleets.folder / f"{fleet.id}.json").stat().st_mtime
            return fleets.cancelled(fleet.id) or store.now() - written > DEAD_AFTER
    return not lives
