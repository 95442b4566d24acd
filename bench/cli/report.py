"""``bench report``."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.options import (
    as_recorded_option,
    only_option,
    profile_option,
    store_option,
    suites_argument,
)

if TYPE_CHECKING:
    from bench.cli.session import Session

EPILOG = """\b
Example:
  bench report bss/table2
  bench report bss fast/optimizers
  bench report bss/table2 --only method=l2,l2+bss
  bench report bss/table2 --profile smoke --to /tmp/leaderboards
  bench report bss/table2 --as-recorded --to /tmp/as-published
"""


@click.command("report", epilog=EPILOG)
@suites_argument
@only_option
@profile_option
@store_option
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    show_default="leaderboards; with --only: excerpts",
    help="Folder of leaderboards.",
)
@as_recorded_option
def command(
    suites: tuple[str, ...],
    only: tuple[str, ...],
    profile: str,
    store: Path,
    folder: Path | None,
    as_recorded: bool,
) -> None:
    """Rebuild suites' tables from the records, as leaderboards.

    SUITE is a path, a name such as bss/table2, or a paper's folder: all its suites that have the
    profile. Writes PAPER/SUITE.PROFILE.md, beside it the values of each seed as CSV, those that
    claims compare as another, figures, and as JSON every verdict with its numbers and what the
    folder's README.md, the index of its pages, says of it; files of the page that it no longer has
    are removed. Records are only read: what is missing, stale or failed is shown as such. The same
    records give the same bytes.

    --only makes a page of some of the cells, which says so, beside no other: it has a name of its
    own, lies in excerpts/ where --to names no folder, and is in no index.
    """
    from bench.cli.joint import open_joint
    from bench.cli.pages import EXCERPTS, LEADERBOARDS, write
    from bench.cli.printing import tell_left_out

    if as_recorded and folder is None:
        raise click.UsageError("--as-recorded goes with --to: no such page is the suite's own")
    # Records are many small objects without cycles: looking for some takes a fifth of the time.
    gc.disable()
    click.get_current_context().call_on_close(gc.enable)
    joint = open_joint(suites, profile, store, only=only, as_recorded=as_recorded)
    tell_left_out(joint)
    folder = folder or (LEADERBOARDS if joint.excerpt is None else EXCERPTS)
    for session in joint.sessions:
        for path in write(session, folder):
            click.echo(path)
    if joint.excerpt is None:
        _write_index(folder)
    empty = [_tell_of_the_rest(session, joint.several) for session in joint.sessions]
    if any(empty):
        sys.exit(1)


def _tell_of_the_rest(session: Session, named: bool) -> bool:
    """Say which cells are not done; return whether none is."""
    counts = session.counts()
    if counts["done"] == len(session.states):
        return False
    of = f"{session.name}: " if named else ""
    rest = ", ".join(f"{n:,} {state}" for state, n in counts.items() if state != "done")
    click.echo(f"{of}not every cell is done: {rest}", err=True)
    if not counts["done"]:
        click.echo(f"{of}no cell is done: the tables are empty", err=True)
    return not counts["done"]


def _write_index(folder: Path) -> None:
    from bench.report.index import README, index, may_write_index
    from bench.report.page import write_files

    text = index(folder)
    if text is None:
        return
    if not may_write_index(folder):
        click.echo(f"{folder / README} is not ours and stays: no index is written", err=True)
        return
    for path in write_files({README: text}, folder):
        click.echo(path)
