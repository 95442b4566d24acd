"""``bench smoke``."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.options import suites_option
from bench.spec.layers import SMOKE, profile_names

if TYPE_CHECKING:
    from bench.cli.session import Session
    from bench.scheduling.summary import RunSummary

EPILOG = """\b
Example:
  bench smoke
  bench smoke bss mine/table --workers 2

Exit code 0 only when every suite went all the way.
"""


@dataclass
class Tried:
    """A suite that is taken from YAML to page, and what broke on the way."""

    file: Path
    cells: int = 0
    broke: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The suite's name with its paper's."""
        return f"{self.file.parent.name}/{self.file.stem}"

    @property
    def state(self) -> str:
        """How far it came."""
        return "broke" if self.broke else "ok" if self.cells else "has no profile smoke"

    @contextmanager
    def at(self, step: str) -> Iterator[None]:
        """Note what breaks here, so that it breaks no other suite; of a bug with its traceback."""
        from bench.errors import UserError

        try:
            yield
        except UserError as error:
            self.broke.append(f"{step}: {error}")
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(where.filename).name}:{where.lineno}"
            self.broke.append(f"{step}: {type(error).__name__}: {error} ({place})")
            click.echo(traceback.format_exc(), err=True)


@click.command("smoke", epilog=EPILOG)
@click.argument("suites", metavar="[SUITE]...", nargs=-1)
@suites_option
@click.option("--workers", type=click.IntRange(min=1), help="As of `bench run`.")
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("smoke"),
    show_default=True,
    help="Folder of the records and the pages; git leaves it out.",
)
def command(suites: tuple[str, ...], workers: int | None, folder: Path) -> None:
    """Take suites from YAML to page by a few steps of everything, and say which broke and why.

    SUITE is as of `bench run`; where none is named it is every suite: yours, or those that come
    with Retable. They are one run of their profile smoke, a cell of several of them once. What
    breaks in one stops no other. It shows that all works; its numbers mean nothing.
    """
    from bench.cli.session import session_of
    from bench.spec.find import find_suites
    from bench.spec.plan import load_plan

    began = time.monotonic()
    _keep_out_of_git(folder)
    store, tried = folder / "results", [Tried(file) for file in find_suites(suites)]
    sessions: dict[Path, Session] = {}
    for suite in tried:
        with suite.at("suite"):
            if SMOKE in profile_names(suite.file):
                sessions[suite.file] = session_of(load_plan(suite.file, SMOKE), store)
                suite.cells = len(sessions[suite.file].states)
    summary = _run(suites, list(sessions.values()), workers)
    if summary is not None and summary.interrupted:
        raise click.Abort
    pages = _write_pages(list(sessions), store, folder / "leaderboards", workers)
    for suite in tried:
        if suite.file in sessions and summary is not None:
            suite.broke += _failures(sessions[suite.file], summary) + pages[suite.file]
    _tell(tried, summary, time.monotonic() - began)
    click.echo(f"pages: {folder / 'leaderboards'}")
    sys.exit(int(any(suite.broke for suite in tried)))


def _keep_out_of_git(folder: Path) -> None:
    from bench.errors import UserError
    from bench.files import write_whole

    mark = folder / ".gitignore"
    if not mark.is_file() and folder.is_dir() and any(folder.iterdir()):
        raise UserError(
            "the folder is not empty, and of no smoke run",
            file=folder,
            remedy="name an empty or a new folder with --to",
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(mark, b"*\n")


def _run(
    named: Sequence[str], sessions: Sequence[Session], workers: int | None
) -> RunSummary | None:
    """Run the cells of all suites as one; None where there is no suite to run."""
    from rich.console import Console

    from bench.cli.joint import Joint
    from bench.scheduling.engines.engine import EngineOptions
    from bench.scheduling.engines.registry import make_engine
    from bench.scheduling.live import progress_for
    from bench.scheduling.options import RunOptions

    if not sessions:
        return None
    joint = Joint(tuple(named), tuple(sessions), sessions[0].store.root)
    return joint.execute(
        joint.cells,
        make_engine("local", EngineOptions(workers=workers)),
        # What works at the second attempt only does not work.
        RunOptions(retries=0),
        progress_for(Console(stderr=True)),
    )


def _failures(session: Session, summary: RunSummary) -> list[str]:
    """Return how many of a suite's cells have failed, and the first cause; nothing where none."""
    from bench.scheduling.progress import name_of

    failed = [each for each in summary.failures if each.planned.cell.id in session.states]
    if not failed:
        return []
    # A cell whose parent failed says no more than its parent, which is of this suite too.
    first = next((each for each in failed if each.failure.kind != "parent"), failed[0])
    why = f"{name_of(first.planned)}: {first.failure.kind}: {first.failure.message}"
    return [f"run: {len(failed):,} of {len(session.states):,} cells failed; {why}"]


def _write_pages(
    files: Sequence[Path], store: Path, folder: Path, workers: int | None
) -> dict[Path, list[str]]:
    """Write the pages of suites, some at a time; return what broke of each."""
    # From a server that has imported what they are drawn by, and has no thread yet.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bench.cli.pages", "bench.report.page"])
    with ProcessPoolExecutor(workers or len(os.sched_getaffinity(0)), mp_context=context) as pool:
        broke = pool.map(partial(_write_page, store=store, folder=folder), files)
        return dict(zip(files, broke, strict=True))


def _write_page(file: Path, store: Path, folder: Path) -> list[str]:
    from bench.cli.pages import write
    from bench.cli.session import session_of
    from bench.spec.plan import load_plan

    suite = Tried(file)
    with suite.at("page"):
        write(session_of(load_plan(file, SMOKE), store), folder)
    return suite.broke


def _tell(tried: Sequence[Tried], summary: RunSummary | None, seconds: float) -> None:
    from bench.report.numbers import plural

    for suite in tried:
        cells = f" ({plural(suite.cells, 'cell')})" if suite.cells else ""
        click.echo(f"{suite.name}{cells}: {suite.state}")
    broken = [suite for suite in tried if suite.broke]
    for suite in broken:
        click.echo(f"\n{suite.name} broke:")
        for why in suite.broke:
            click.echo("  " + why.replace("\n", "\n  "))
    whole = sum(suite.state == "ok" for suite in tried)
    done = plural(summary.done, "cell") if summary is not None else "no cell"
    click.echo(
        f"\n{whole} of {plural(len(tried), 'suite')} from YAML to page, {done} done now, "
        f"in {seconds:.0f} s"
    )
