"""``bench run --engine slurm``: what is submitted, watched and told; and a pilot's own duties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from bench.cli.joint import Joint
    from bench.fleet.fleet import Fleet, Fleets, Work
    from bench.fleet.settings import SlurmSettings
    from bench.fleet.watch import Watch
    from bench.records.store import CellState, Store
    from bench.scheduling.engines.engine import EngineOptions
    from bench.scheduling.options import RunOptions
    from bench.scheduling.progress import Progress
    from bench.scheduling.summary import RunSummary

ENGINE = "slurm"


@dataclass(frozen=True)
class FleetAsked:
    """What a user asks of a fleet.

    Attributes
    ----------
    pilots
        Pilots at a time, in place of what the settings say.
    settings
        Their file; None where it is to be found.
    detach
        Submit, and do not watch.
    passed
        Further options of ``bench run`` for each pilot.
    """

    pilots: int | None
    settings: Path | None
    detach: bool
    passed: tuple[str, ...]


def launch(
    joint: Joint, asked: FleetAsked, engine: EngineOptions, options: RunOptions
) -> RunSummary | None:
    """Submit a fleet for what is left of suites, and watch it; None where it is not watched.

    Raises
    ------
    UserError
        If the settings are not valid, or Slurm is not to be had or refuses.
    """
    from bench.fleet.settings import slurm_settings
    from bench.records.store import Store

    found = slurm_settings(asked.settings, [s.plan.file for s in joint.sessions])
    settings = _with_options(found, asked, engine)
    # Where GPUs are packed, how many cells fit is known only there: at least one does.
    per_gpu = engine.slots_per_gpu or 1
    slots = settings.gpus * per_gpu if settings.gpus else engine.workers or settings.cpus
    watch = _watch(joint, asked, engine, options, settings, slots, Store(joint.store))
    if watch.outlook.ended:
        click.echo("every cell is done: nothing is submitted")
        return watch.summary(False)
    count = watch.begin()
    fleet = watch.fleet
    cancel = f"bench cancel {fleet.id} --store {joint.store}"
    click.echo(f"fleet {fleet.id}: {count} new pilots of {slots} cells at a time")
    if asked.detach:
        click.echo(f"see how it is by: {joint.again('status')}\ncancel it by: {cancel}")
        return None
    summary = watch.run()
    if summary.interrupted:
        click.echo(f"its pilots go on; cancel them by: {cancel}")
        click.echo(f"watch them again by: {joint.again('run', '--engine', ENGINE)}")
    return summary


def _with_options(
    settings: SlurmSettings, asked: FleetAsked, engine: EngineOptions
) -> SlurmSettings:
    """Return the settings with what the command line has in place of them."""
    if engine.device == "cuda" and not settings.gpus:
        raise click.UsageError("--device cuda needs pilots with GPUs: give gpus in the settings")
    changes: dict[str, int] = {}
    if engine.device == "cpu":
        changes["gpus"] = 0
    if asked.pilots is not None:
        changes["max_pilots"] = asked.pilots
    return settings.model_copy(update=changes)


def _watch(
    joint: Joint,
    asked: FleetAsked,
    engine: EngineOptions,
    options: RunOptions,
    settings: SlurmSettings,
    slots: int,
    store: Store,
) -> Watch:
    from rich.console import Console

    from bench.fleet.fleet import Fleets, new_fleet
    from bench.fleet.watch import Watch
    from bench.scheduling.live import progress_for
    from bench.scheduling.run import lacks

    fleets = Fleets(store.layout)
    work = work_of(joint)
    command = (*_pilot_command(joint, engine, settings, slots), *asked.passed)
    fleet = _going_on(fleets, work, command) or new_fleet(
        [session.name for session in joint.sessions],
        joint.sessions[0].plan.profile,
        command,
        settings.model_dump(),
        work,
    )
    plan = list({planned.cell.id: planned for planned in joint.cells}.values())
    plan.sort(key=lambda planned: planned.level)
    cells = [planned.cell for planned in plan]

    def look() -> Mapping[str, CellState]:
        states = store.states(cells, joint.expected)
        # As each pilot has it: what is to be kept is done again by a cell that has not kept it.
        again = {
            cell.id: replace(states[cell.id], state="missing")
            for cell in cells
            if states[cell.id].done and lacks(options.keep, cell, states[cell.id], store)
        }
        return {**states, **again}

    return Watch(
        fleet, fleets, settings, plan, look, store, progress_for(Console(stderr=True)),
        slots=slots, retries=options.retries, suites=joint.suites,
    )  # fmt: skip


def _going_on(fleets: Fleets, work: Work, command: Sequence[str]) -> Fleet | None:
    """Return a fleet of the very same work that still has jobs and that nobody watches."""
    from bench.fleet.slurm import jobs_of

    same = [
        fleet
        for fleet in fleets.found()
        if fleet.work == work
        and fleet.command == tuple(command)
        and not fleets.cancelled(fleet.id)
        and fleet.watcher.lives() is False
    ]
    jobs = jobs_of(same)
    return next((fleet for fleet in reversed(same) if jobs.get(fleet.id)), None)


def _pilot_command(
    joint: Joint, engine: EngineOptions, settings: SlurmSettings, slots: int
) -> tuple[str, ...]:
    """Return what each pilot's runner is given, all of it but the fleet's id."""
    from bench.spec.find import asked_folders

    lies = [word for folder in asked_folders() for word in ("--suites", str(folder))]
    only = joint.excerpt.options if joint.excerpt is not None else ()
    where = (
        ("--device", "cuda", "--slots-per-gpu", str(engine.slots_per_gpu or "auto"))
        if settings.gpus
        else ("--device", "cpu", "--workers", str(slots))
    )
    limit = () if engine.time_limit is None else ("--time-limit", str(engine.time_limit))
    return (
        *joint.named, *lies, "--profile", joint.sessions[0].plan.profile,
        "--store", str(joint.store.absolute()), *only, "--engine", "local",
        "--leave-when-idle", *where, *limit,
    )  # fmt: skip


def work_of(joint: Joint) -> Work:
    """Return what all parts of a fleet for these suites must have alike, as it is here."""
    from bench.fleet.fleet import Work
    from bench.records.expect import versions_here

    return Work.of(joint.states, joint.expected.code, versions_here())


class OnDuty:
    """What a pilot's runner does for its fleet."""

    def __init__(self, joint: Joint, fleet_id: str) -> None:
        from bench.fleet.fleet import Fleets

        self._fleets = Fleets(joint.sessions[0].store.layout)
        self._fleet = self._fleets.get(fleet_id)
        self._joint = joint

    def check(self) -> None:
        """Refuse what is not the fleet's work.

        Raises
        ------
        UserError
            If code, versions or cells here are not those that were submitted.
        """
        from bench.fleet.duty import check

        check(self._fleets.reports(self._fleet.id), self._fleet.work, work_of(self._joint))

    def progress(self, inner: Progress) -> Progress:
        """Return what is told of the run, which tells the fleet too."""
        from bench.fleet.duty import Duty

        return Duty(self._fleets.reports(self._fleet.id), inner)
