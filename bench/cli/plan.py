"""``bench plan``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.options import only_option, profile_option, store_option, suites_argument

if TYPE_CHECKING:
    from bench.cli.session import Session

EPILOG = """\b
Example:
  bench plan bss/table2
  bench plan bss/table2 --only dataset=glyphs,digits --only seed=0:3
  bench plan bss/table2 --profile paper --json | head
"""


@click.command("plan", epilog=EPILOG)
@suites_argument
@only_option
@profile_option
@store_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a cell and line.")
def command(
    suites: tuple[str, ...], only: tuple[str, ...], profile: str, store: Path, as_json: bool
) -> None:
    """List suites' cells by state: done, running, stale, failed, missing.

    SUITE is a path, a name such as bss/table2, or a paper's folder: all its suites that have the
    profile. --only lists some of the cells, and all that these start from. Nothing is decoded or
    trained; a folder of images that changed is read. Test images that are training images too are
    named.
    """
    from bench.cli.joint import open_joint
    from bench.cli.printing import tell_left_out

    joint = open_joint(suites, profile, store, only=only)
    tell_left_out(joint)
    if as_json:
        for row in joint.rows():
            given = vars(row).copy()
            if not joint.several:
                # Of one suite alone everybody knows whose cells they are.
                del given["suite"]
            click.echo(json.dumps(given))
        return
    for number, session in enumerate(joint.sessions):
        if number:
            click.echo()
        _print(session)
    if joint.several:
        together = sum(len(session.states) for session in joint.sessions)
        once = f"; {together - len(joint.states):,} more are in several, and run once"
        shared = once if together > len(joint.states) else ""
        click.echo(f"\n{len(joint.sessions)} suites: {len(joint.states):,} cells{shared}")


def _print(session: Session) -> None:
    from bench.cli.printing import tell_excerpt, wrapped
    from bench.cli.session import state_table
    from bench.scheduling.hours import predicted

    plan = session.plan
    levels = {planned.level for planned in plan.cells}
    click.echo(wrapped(f"{session.name}, profile {plan.profile}: {plan.suite.title}", "  "))
    tell_excerpt(session)
    click.echo(f"store {session.store.root}")
    if line := predicted(plan.cells, session.states).line:
        click.echo(wrapped(line, "  "))
    click.echo()
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
