"""``bench run``."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.options import (
    SlotsPerGpu,
    only_option,
    profile_option,
    same_versions_option,
    store_option,
    suites_argument,
)

if TYPE_CHECKING:
    from bench.cli.event_curves import EventCurves
    from bench.cli.joint import Joint
    from bench.cli.launch import OnDuty
    from bench.scheduling.engines.engine import Choice, Engine, EngineOptions
    from bench.scheduling.options import RunOptions
    from bench.scheduling.summary import RunSummary
    from bench.spec.cell import PlannedCell

EPILOG = """\b
Example:
  bench run bss/table2 --profile smoke --workers 2
  bench run bss/table2 --profile paper --time-limit 7200 --save-every 60
  bench run bss/table2 --profile paper --slots-per-gpu 4
  bench run bss fast/optimizers
  bench run bss/table2 --only method=l2,l2+bss --only dataset=glyphs --only seed=0:3
  bench run bss/table2 --engine ray --ray-address 10.0.0.1:6379
  bench run bss/table2 --until-decided --budget 2 --dry-run
  bench run bss/table2 --profile paper --engine slurm --pilots 8
  bench run bss/table2 --profile paper --ttl 600

Ctrl-C stops; the same command goes on where it was. Exit code 0 only when every cell is done.
"""


@click.command("run", epilog=EPILOG)
@suites_argument
@only_option
@profile_option
@store_option
@click.option(
    "--engine",
    default="local",
    show_default=True,
    metavar="NAME",
    help="local: a process a cell; inline: one after the other, here, but for cells with parts "
    "of yours; slurm: runners on a cluster; ray: on the machines of a Ray cluster; or one "
    "that is installed.",
)
@click.option(
    "--ray-address",
    envvar="RAY_ADDRESS",
    metavar="HOST:PORT",
    help="The cluster's head; without it a Ray of this machine, for as long as the run lasts.  "
    "[--engine ray]",
)
@click.option("--pilots", type=click.IntRange(min=1), help="Runners at a time.  [--engine slurm]")
@click.option(
    "--settings",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="How pilots are asked for; else slurm.yaml beside the suite.  [--engine slurm]",
)
@click.option("--detach", is_flag=True, help="Submit, and do not watch.  [--engine slurm]")
@click.option(
    "--leave-when-idle",
    is_flag=True,
    help="End when there is nothing to begin, though other runners have cells.",
)
@click.option("--pilot-of", metavar="FLEET", hidden=True)
@click.option(
    "--workers", type=click.IntRange(min=1), help="Cells at a time on the CPU; default: all cores."
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="auto: the GPUs if there are any; of the profile paper GPUs alone.",
)
@click.option(
    "--slots-per-gpu",
    type=SlotsPerGpu(),
    default="auto",
    show_default=True,
    help="Cells at a time on each GPU; auto: as many as fit its memory, as long as one more helps.",
)
@click.option(
    "--time-limit", type=click.FloatRange(min=0, min_open=True), help="Seconds a cell may take."
)
@click.option(
    "--retries",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="Further attempts at a cell that crashed.",
)
@click.option(
    "--save-every",
    type=click.FloatRange(min=0),
    default=600,
    show_default=True,
    metavar="SECONDS",
    help="Save a training's state so often, to go on from when it was killed; 0: never.",
)
@click.option(
    "--ttl",
    type=click.FloatRange(min=5),
    metavar="SECONDS",
    help="Silence after which other machines take this run for dead; default: 60.",
)
@click.option(
    "--keep", is_flag=True, help="Keep every cell's checkpoint; one done without is done again."
)
@click.option(
    "--keep-patches",
    is_flag=True,
    help="Keep what each cell that trains a part of its network changed; as --keep.",
)
@click.option(
    "--until-decided",
    is_flag=True,
    help="Then add seeds where claims are open and may be decided, look by look.",
)
@click.option(
    "--max-seeds",
    type=click.IntRange(min=2),
    help="Seeds at the last look, fixed by the first use; default 15.  [--until-decided]",
)
@click.option(
    "--budget",
    type=click.FloatRange(min=0, min_open=True),
    metavar="HOURS",
    help="Begin no look that would end later, as estimated.  [--until-decided]",
)
@click.option(
    "--all-undecided",
    is_flag=True,
    help="Also seeds for comparisons that have little chance.  [--until-decided]",
)
@click.option(
    "--check/--no-check",
    default=True,
    show_default=True,
    help="Look first at data, backbones, weights, disk and memory: what would fail is told at "
    "once, and nothing is begun.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be added.  [--until-decided]")
@click.option(
    "--tensorboard",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Write each done cell's curves there too, for TensorBoard; of those done before at once.",
)
@same_versions_option
def command(
    suites: tuple[str, ...],
    only: tuple[str, ...],
    profile: str,
    store: Path,
    engine: str,
    pilots: int | None,
    settings: Path | None,
    detach: bool,
    leave_when_idle: bool,
    pilot_of: str | None,
    ray_address: str | None,
    workers: int | None,
    device: Choice,
    slots_per_gpu: int | None,
    time_limit: float | None,
    retries: int,
    save_every: float,
    ttl: float | None,
    keep: bool,
    keep_patches: bool,
    until_decided: bool,
    max_seeds: int | None,
    budget: float | None,
    all_undecided: bool,
    check: bool,
    dry_run: bool,
    tensorboard: Path | None,
    same_versions: bool,
) -> None:
    """Run what is missing or stale of suites, and resume what was interrupted.

    SUITE is a path, a name such as bss/table2, or a paper's folder: all its suites that have the
    profile. Several run as one, a cell that several have once, the longest first. --only runs some
    of the cells, with all that these start from.
    """
    from bench.cli.event_curves import EventCurves
    from bench.cli.joint import open_joint
    from bench.cli.launch import ENGINE, FleetAsked, OnDuty, launch
    from bench.cli.settle import Asked, Settlement
    from bench.scheduling.engines.engine import EngineOptions
    from bench.scheduling.engines.registry import make_engine
    from bench.scheduling.options import RunOptions
    from bench.spec.cell import CHECKPOINT, PATCH

    _refuse_together(click.get_current_context().params)
    joint = open_joint(suites, profile, store, only=only, same_versions=same_versions)
    if until_decided and joint.several:
        raise click.UsageError("--until-decided takes one suite: each has looks of its own")
    duty = OnDuty(joint, pilot_of) if pilot_of is not None else None
    device = device_of(profile, device)
    asked_of_engine = EngineOptions(device, workers, slots_per_gpu, time_limit, address=ray_address)
    new_engine = partial(make_engine, engine, asked_of_engine)
    asked_for = {CHECKPOINT: keep, PATCH: keep_patches}
    kept = frozenset(name for name, asked in asked_for.items() if asked)
    joint.refuse_two_of_a_name()
    if duty is not None:
        duty.check()
    if check and not dry_run:
        _check(joint, engine, asked_of_engine, kept)
    curves = EventCurves(joint, tensorboard, profile) if tensorboard is not None else None
    options = RunOptions(
        retries=retries,
        keep=kept,
        save_every=save_every,
        shuffled=pilot_of is not None,
        leave_when_idle=leave_when_idle,
        ttl=ttl,
    )
    if engine == ENGINE:
        passed = _passed(click.get_current_context().params)
        asked_of_fleet = FleetAsked(pilots, settings, detach, passed)
        watched = launch(joint, asked_of_fleet, asked_of_engine, options)
        if watched is not None and not watched.interrupted:
            _conclude(joint, watched)
        sys.exit(watched.exit_code if watched is not None else 0)
    execute = partial(_execute, joint, options, curves, duty)
    conclude = partial(_conclude, joint)
    if until_decided:
        asked = Asked(max_seeds, budget, all_undecided, dry_run)
        (session,) = joint.sessions
        sys.exit(Settlement(session, asked, new_engine, execute, conclude).run())
    runs = new_engine()
    _announce(joint, runs, profile)
    summary = execute(joint.cells, runs)
    conclude(summary)
    sys.exit(summary.exit_code)


def device_of(profile: str, asked: Choice) -> Choice:
    """Return the devices to ask for: a paper's own cells are not run on a CPU in silence."""
    return "cuda" if profile == "paper" and asked == "auto" else asked


def _check(joint: Joint, engine: str, asked: EngineOptions, kept: Collection[str]) -> None:
    """Refuse a run of which something is known to fail."""
    from bench.cli.looking import problems_of
    from bench.errors import UserError

    found = problems_of(joint, engine, asked, kept)
    if found:
        told = "\n".join(found)
        count = "a problem" if len(found) == 1 else f"{len(found)} problems"
        raise UserError(
            f"{count} before the first cell, and nothing is begun\n{told}",
            remedy="or run what can be run: --no-check",
        )


def _refuse_together(asked: Mapping[str, Any]) -> None:
    """Refuse options that do not go together, before anything is read."""
    from bench.cli.launch import ENGINE

    settling = asked["until_decided"]
    of_looks = any(asked[name] for name in ("max_seeds", "budget", "all_undecided", "dry_run"))
    fleet = asked["engine"] == ENGINE
    of_fleet = any(asked[name] for name in ("pilots", "settings", "detach"))
    wrong = {
        "--max-seeds, --budget, --all-undecided and --dry-run go with --until-decided; "
        "`bench plan` says what a run would do": of_looks and not settling,
        "--same-versions does not go with --until-decided": settling and asked["same_versions"],
        "--until-decided takes whole suites: their looks are fixed for them": settling
        and asked["only"],
        "--pilots, --settings and --detach go with --engine slurm": of_fleet and not fleet,
        "--until-decided and --tensorboard do not go with --engine slurm": fleet
        and (settling or asked["tensorboard"] is not None),
    }
    for told, is_wrong in wrong.items():
        if is_wrong:
            raise click.UsageError(told)


def _passed(asked: Mapping[str, Any]) -> tuple[str, ...]:
    """Return options of this command as each pilot is given them."""
    given = {
        "--keep": asked["keep"],
        "--keep-patches": asked["keep_patches"],
        "--no-check": not asked["check"],
        "--same-versions": asked["same_versions"],
    }
    numbers = ["--retries", str(asked["retries"]), "--save-every", f"{asked['save_every']:g}"]
    numbers += [] if asked["ttl"] is None else ["--ttl", f"{asked['ttl']:g}"]
    return (*numbers, *(name for name, on in given.items() if on))


def _execute(
    joint: Joint,
    options: RunOptions,
    curves: EventCurves | None,
    duty: OnDuty | None,
    cells: Sequence[PlannedCell],
    engine: Engine,
) -> RunSummary:
    from rich.console import Console

    from bench.scheduling.live import progress_for

    progress = progress_for(Console(stderr=True))
    summary = joint.execute(
        cells,
        engine,
        options,
        duty.progress(progress) if duty is not None else progress,
        on_done=curves.done if curves is not None else None,
    )
    if curves is not None and curves.failure is not None:
        click.echo(f"bench: {curves.failure}", err=True)
    return summary


def _announce(joint: Joint, engine: Engine, profile: str) -> None:
    from collections import Counter

    from bench.cli.printing import tell_excerpt, tell_left_out
    from bench.scheduling.slots import Slots

    tell_left_out(joint)

    counts = Counter(state.state for state in joint.states.values())
    states = ", ".join(f"{counts[state]:,} {state}" for state in counts)
    places = ", ".join(device.name for device in engine.devices)
    packed = any(device.packed for device in engine.devices)
    at_once = "as many at a time as fit" if packed else f"{Slots(engine.devices).total} at a time"
    for session in joint.sessions:
        click.echo(f"{session.name}, profile {profile}: {session.plan.suite.title}")
        tell_excerpt(session)
    several = f" of {len(joint.sessions)} suites" if joint.several else ""
    cells = f"{len(joint.states):,} cells{several}"
    click.echo(f"{cells} ({states}); {at_once} on {places}")


def _conclude(joint: Joint, summary: RunSummary) -> None:
    for share in summary.suites:
        click.echo(share.line)
    # Each failure was told of as it came.
    parts = [f"{summary.done:,} done now", f"{summary.before:,} before"]
    if summary.elsewhere:
        parts.append(f"{summary.elsewhere:,} by another runner")
    if summary.failures:
        parts.append(f"{len(summary.failures):,} failed")
    if summary.unfinished:
        parts.append(f"{summary.unfinished:,} not begun or stopped")
    click.echo("cells: " + ", ".join(parts))
    if summary.overhead is not None:
        busy = min(1.0, 1 / summary.overhead)
        click.echo(
            f"{summary.wall_seconds:.1f} s for {summary.cell_seconds:.1f} s of cells, "
            f"{summary.slots} at a time: busy for {busy:.0%} of it"
        )
    for benched in summary.benched:
        click.echo(benched)
    if summary.stopped:
        click.echo(f"the run stopped: {summary.stopped}")
    click.echo(f"records: {joint.sessions[0].store.root}")
    if summary.interrupted:
        click.echo(f"go on with: {joint.again('run')}")
    elif summary.exit_code:
        click.echo(f"see why with: {joint.again('status')}")
    else:
        click.echo(f"see the tables with: {joint.again('report')}")
