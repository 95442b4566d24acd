"""``bench report``."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import click

from bench.cli.options import profile_option, store_option, suite_argument

EPILOG = """\b
Example:
  bench report bss/table2
  bench report bss/table2 --profile smoke --to /tmp/leaderboards
"""


@click.command("report", epilog=EPILOG)
@suite_argument
@profile_option
@store_option
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("leaderboards"),
    show_default=True,
    help="Folder of leaderboards.",
)
def command(suite: str, profile: str, store: Path, folder: Path) -> None:
    """Rebuild a suite's table from the records, as a leaderboard.

    Writes PAPER/SUITE.PROFILE.md, beside it the values of each seed as CSV, those that claims
    compare as another, figures, and as JSON every verdict with its numbers and what the folder's
    README.md, the index of its pages, says of it; files of the page that it no longer has are
    removed. Records are only read: what is missing, stale or failed is shown as
    such. The same records give the same bytes.
    """
    from bench.cli.pages import write
    from bench.cli.session import open_session

    # Records are many small objects without cycles: looking for some takes a fifth of the time.
    gc.disable()
    click.get_current_context().call_on_close(gc.enable)
    session = open_session(suite, profile, store)
    for path in write(session, folder):
        click.echo(path)
    _write_index(folder)
    counts = session.counts()
    if counts["done"] < len(session.states):
        rest = ", ".join(f"{n:,} {state}" for state, n in counts.items() if state != "done")
        click.echo(f"not every cell is done: {rest}", err=True)
        if not counts["done"]:
            click.echo("no cell is done: the tables are empty", err=True)
            sys.exit(1)


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
