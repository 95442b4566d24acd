"""``bench plan``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.options import profile_option, store_option, suites_argument

if TYPE_CHECKING:
    from bench.cli.session import Session

EPILOG = """\b
Example:
  bench plan bss/table2
  bench plan bss/table2 --profile paper --json | head
"""


@click.command("plan", epilog=EPILOG)
@suites_argument
@profile_option
@store_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a cell and line.")
def command(suites: tuple[str, ...], profile: str, store: Path, as_json: bool) -> None:
    """List suites' cells by state: done, running, stale, failed, missing.

    SUITE is a path, a name such as bss/table2, or a paper's folder: all its suites that have the
    profile. Nothing is decoded or trained; a folder of images that changed is read. Test images
    that are training images too are named.
    """
    from bench.cli.joint import open_joint

    joint = open_joint(suites, profile, store)
    for number, session in enumerate(joint.sessions):
        if as_json:
            for row in _rows(session):
                # Of one suite alone everybody knows whose cells they are.
                click.echo(json.dumps({"suite": session.name, **row} if joint.several else row))
        else:
            if number:
                click.echo()
            _print(session)
    if joint.several and not as_json:
        together = sum(len(session.states) for session in joint.sessions)
        once = f"; {together - len(joint.states):,} more are in several, and run once"
        shared = once if together > len(joint.states) else ""
        click.echo(f"\n{len(joint.sessions)} suites: {len(joint.states):,} cells{shared}")


def _rows(session: Session) -> Iterator[dict[str, object]]:
    for planned in session.plan.cells:
        cell, state = planned.cell, session.states[planned.cell.id]
        yield {
            "id": cell.id,
            "kind": cell.kind,
            "labels": planned.labels,
            "level": planned.level,
            "name": planned.name,
            "parents": {
                role: {"id": parent.id, "artifact": parent.artifact}
                for role, parent in cell.parents.items()
            },
            "reasons": state.reasons,
            "state": state.state,
        }


def _print(session: Session) -> None:
    from bench.cli.printing import wrapped
    from bench.cli.session import state_table

    plan = session.plan
    levels = {planned.level for planned in plan.cells}
    click.echo(wrapped(f"{session.name}, profile {plan.profile}: {plan.suite.title}", "  "))
    click.echo(f"store {session.store.root}\n")
    click.echo(state_table(session))
    if len(levels) > 1:
        per_level = [len({p.cell.id for p in plan.cells if p.level == lv}) for lv in sorted(levels)]
        steps = ", ".join(f"level {lv}: {n:,}" for lv, n in enumerate(per_level))
        click.echo("\n" + wrapped(f"Cells start from those of lower levels ({steps})."))
    for warning in _warnings(session):
        click.echo(f"\n{warning}")


def _warnings(session: Session) -> Iterator[str]:
    """Yield what was found of the plan's datasets when they were read."""
    from bench.data.digests import known_warnings

    for name in sorted(session.expected.data):
        yield from known_warnings(name, session.plan.resources)
