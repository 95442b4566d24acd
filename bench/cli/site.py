"""``bench site``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.options import as_recorded_option, store_option, suites_option

if TYPE_CHECKING:
    from bench.report.site.build import Which
    from bench.report.site.track import Track

EPILOG = """\b
Example:
  bench site
  bench site bss fast/initialisation --profile offline --profile paper --to /tmp/site
  bench site bss/table2 --serve

Open TO/index.html: no server is needed. With --serve, open pages follow a run.
"""
_PAGES_OF = {"papers": "paper", "suites": "suite file", "cells": "cell", "curves": "curve picture"}


@click.command("site", epilog=EPILOG)
@click.argument("suites", nargs=-1)
@suites_option
@click.option(
    "-p",
    "--profile",
    "profiles",
    multiple=True,
    default=("offline",),
    show_default=True,
    help="Which overlay of the suites; may be given several times.",
)
@store_option
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("site"),
    show_default=True,
    help="Folder of the site: a new one, an empty one, or an earlier site.",
)
@click.option(
    "--cells",
    type=click.Choice(["none", "recorded", "all"]),
    default="recorded",
    show_default=True,
    help="Which cells have a page: those with a record of any attempt; all that are planned; none. "
    "A new cell's curves take 0.1 to 0.3 s to draw, and are kept for the next build.",
)
@click.option(
    "--serve",
    "served",
    is_flag=True,
    help="Then serve the site on this machine, and build it again whenever the store has changed.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="0: any that is free.  [--serve]",
)
@as_recorded_option
def command(
    suites: tuple[str, ...],
    profiles: tuple[str, ...],
    store: Path,
    folder: Path,
    cells: Which,
    served: bool,
    port: int,
    as_recorded: bool,
) -> None:
    """Build a static site from the records: an index, a page a paper, a page a cell.

    SUITES are suites or papers; where none is named, every suite that has a record: below suites/,
    and in this folder and those in it that have a paper.yaml. The site is one folder with relative
    links, read without any network. The same records give the same bytes.
    """
    from bench.cli.printing import wrapped
    from bench.cli.serving import serve, store_stamp
    from bench.records.store import Store
    from bench.report.site.build import build_site

    stamp = store_stamp(store) if served else 0
    tracks = _tracks(suites, profiles, store, as_recorded)
    built = build_site(tracks, Store(store), folder, cells=cells, on_cells=_with_progress)
    counts = ", ".join(
        f"{built.files[kind]:,} {noun}{'' if built.files[kind] == 1 else 's'}"
        for kind, noun in _PAGES_OF.items()
        if built.files[kind]
    )
    fates = f"{built.drawn:,} drawn now, {built.removed:,} stale files removed"
    click.echo(wrapped(f"{counts} ({fates})", "  "))
    click.echo(folder / "index.html")
    if served:
        of_profiles = [word for profile in profiles for word in ("--profile", profile)]
        where = ["--store", str(store), "--to", str(folder), "--cells", cells]
        where += ["--as-recorded"] if as_recorded else []
        serve(folder, store, port, [*of_profiles, *where, "--", *suites], stamp)


def _tracks(
    suites: Sequence[str], profiles: Sequence[str], store: Path, as_recorded: bool = False
) -> list[Track]:
    from bench.cli.printing import again
    from bench.cli.session import further_of, session_of
    from bench.errors import SpecError, StoreError, did_you_mean
    from bench.report.arrays import StoredArrays
    from bench.report.site.track import Track
    from bench.spec.find import find_suites, known_suites, own_papers
    from bench.spec.layers import profile_names
    from bench.spec.paper import load_reported
    from bench.spec.plan import load_plan

    # Records do not know where their suite lies: it is looked for here.
    named = suites or [*map(str, known_suites().values()), *map(str, own_papers())]
    files = list(dict.fromkeys(find_suites(named)))
    known = {file: profile_names(file) for file in files}
    everywhere = {name for names in known.values() for name in names}
    found: list[Track] = []
    for profile in dict.fromkeys(profiles):
        if profile not in everywhere:
            raise SpecError(
                f"no suite here has a profile {profile!r}",
                remedy=did_you_mean(profile, sorted(everywhere)),
            )
        for file in files:
            if profile in known[file]:
                session = session_of(load_plan(file, profile), store, as_recorded=as_recorded)
                track = Track(
                    session.plan,
                    session.states,
                    load_reported(file.parent),
                    StoredArrays(session.store),
                    further_of(session),
                )
                # A suite that was asked for by name is shown as it is.
                if suites or track.begun:
                    found.append(track)
    if not found:
        raise StoreError(
            f"no suite has a record under profile {' or '.join(profiles)}",
            file=store,
            remedy=f"run one: {again('run', 'bss/table2', 'smoke', store)}; or name your suites",
        )
    return found


def _with_progress(cells: Sequence[Any]) -> Iterator[Any]:
    if not sys.stderr.isatty():
        yield from cells
        return
    with click.progressbar(cells, label="cells", file=sys.stderr, show_pos=True) as bar:
        yield from bar
