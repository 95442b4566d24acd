"""``bench status``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.options import (
    only_option,
    profile_option,
    same_versions_option,
    store_option,
    suites_argument,
)

if TYPE_CHECKING:
    from bench.cli.session import Session

EPILOG = """\b
Example:
  bench status bss/table2 --profile smoke
  bench status bss/table2 --only method=l2 --only seed=0:3

Exit code 0 only when every cell is done.
"""
_SHOWN = 10


@click.command("status", epilog=EPILOG)
@suites_argument
@only_option
@profile_option
@store_option
@click.option("--all", "everything", is_flag=True, help="List every cell that is not done.")
@same_versions_option
def command(
    suites: tuple[str, ...],
    only: tuple[str, ...],
    profile: str,
    store: Path,
    everything: bool,
    same_versions: bool,
) -> None:
    """Say how far suites are, and what failed or is stale and why.

    SUITE is a path, a name such as bss/table2, or a paper's folder: all its suites that have the
    profile. --only says it of some of the cells, and of all that these start from.
    """
    from bench.cli.crews import print_fleets
    from bench.cli.joint import open_joint
    from bench.cli.printing import tell_excerpt, tell_left_out

    joint = open_joint(suites, profile, store, only=only, same_versions=same_versions)
    tell_left_out(joint)
    for number, session in enumerate(joint.sessions):
        if joint.several:
            gap = "\n" if number else ""
            click.echo(f"{gap}{session.name}, profile {profile}: {session.plan.suite.title}")
        tell_excerpt(session)
        _print(session, None if everything else _SHOWN, runners=not number)
    print_fleets(joint.sessions[0].store)
    if all(state.done for state in joint.states.values()):
        click.echo("\nEvery cell is done.")
        return
    more = ("--same-versions",) if same_versions else ()
    click.echo(f"\nRun the rest: {joint.again('run', *more)}")
    sys.exit(1)


def _print(session: Session, limit: int | None, *, runners: bool) -> None:
    """Print a suite's states and the cells that are not done; of the store's runners if asked."""
    from bench.cli.printing import wrapped
    from bench.cli.session import state_table
    from bench.records.owner import stopped_owners
    from bench.scheduling.hours import predicted, spent

    click.echo(state_table(session))
    tried = (cell_id for cell_id, state in session.states.items() if state.attempts)
    took = spent(record for cell_id in tried for record in session.store.attempts(cell_id))
    for line in filter(None, (took.line, predicted(session.plan.cells, session.states).line)):
        click.echo(wrapped(line, "  "))
    for path, reason in session.store.broken.items():
        click.echo(f"\nnot a readable record: {path}: {reason}")
    if session.store.foreign:
        one = next(iter(session.store.foreign.values()))
        click.echo(f"\n{len(session.store.foreign):,} records are not used; of one: {one}")
    for path, reason in session.store.attestations.broken.items():
        click.echo(f"\nnot an attestation that holds: {path}: {reason}")
    if any(state.carried_by for state in session.states.values()):
        from bench.report.provenance import carried

        click.echo(f"\n{carried(session.states)}")
    _list_disagreeing(session, limit)
    for owner in stopped_owners(session.store.layout.runners) if runners else ():
        click.echo(
            f"\nprocess {owner.pid} on {owner.host} is stopped (Ctrl-Z?): after "
            f"{session.store.ttl:.0f} s others take over its cells; "
            f"`fg` or `kill -CONT {owner.pid}` lets it go on"
        )
    for state in ("running", "failed", "interrupted", "stale"):
        _list(session, state, limit)
    if limit is None:
        _list(session, "missing", None)


def _list_disagreeing(session: Session, limit: int | None) -> None:
    found = [p for p in session.plan.cells if session.states[p.cell.id].disagrees]
    if found:
        click.echo("\nwith other numbers in another record of the same code:")
    for planned in found[:limit]:
        records = session.states[planned.cell.id].fresh
        attempts = ", ".join(str(record.attempt) for record in records)
        click.echo(f"  {planned.cell.id}  attempts {attempts}; {records[0].attempt} counts")
    if limit is not None and len(found) > limit:
        click.echo(f"  … and {len(found) - limit} more (--all lists them)")


def _list(session: Session, wanted: str, limit: int | None) -> None:
    from bench.cli.printing import clipped, terminal_width

    found = [p for p in session.plan.cells if session.states[p.cell.id].state == wanted]
    if not found:
        return
    click.echo(f"\n{wanted}:")
    for planned in found[:limit]:
        state = session.states[planned.cell.id]
        why = ", ".join(state.reasons)
        record = state.record
        if wanted == "failed" and record is not None and record.outcome.failure is not None:
            why = f"{record.outcome.failure.kind}: {record.outcome.failure.message}"
        if wanted == "running" and state.owner is not None:
            stopped = ", which is stopped" if state.owner.stopped() else ""
            why = f"by process {state.owner.pid} on {state.owner.host}{stopped}"
        name = ", ".join(f"{a} {v}" for a, v in planned.labels.items()) or planned.name
        # The reason first: on a narrow terminal the end of a line is left out.
        line = "  ".join(filter(None, ["", planned.cell.id, f"({why})" if why else "", name]))
        click.echo(clipped(line, None if limit is None else terminal_width()))
    if limit is not None and len(found) > limit:
        click.echo(f"  … and {len(found) - limit} more (--all lists them)")
