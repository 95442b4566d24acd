"""``bench try``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.options import profile_option, store_option, suites_option

if TYPE_CHECKING:
    from bench.spec.recipe import Scalar
    from bench.spec.trying import Tried

# The exit code of a run of which a cell failed.
_FAILED = 1
EPILOG = """\b
Example:
  bench try l1_sp.py --beside bss/table2
  bench try l1_sp.py --beside bss/table2 --set weight=1e-3 --onto l2
  bench try l1_sp.py --beside bss/tuned --search weight=1e-6..1e-3

What it writes is a suite like any other: `bench verify`, `bundle`, `site` and `run
--until-decided` take it too.
"""


@click.command("try", epilog=EPILOG)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--beside", "suite", required=True, metavar="SUITE", help="Whose methods and cells.")
@suites_option
@profile_option
@store_option
@click.option("--part", metavar="NAME", help="Which of the file's parts, where it has several.")
@click.option(
    "--set", "given", multiple=True, metavar="NAME=VALUE", help="A setting of the part; repeatable."
)
@click.option(
    "--onto", multiple=True, metavar="METHOD", help="Add it to this method too; repeatable."
)
@click.option(
    "--search",
    "searched",
    multiple=True,
    metavar="NAME=VALUES",
    help="What the suite's search tries of a setting: values between commas, or LOW..HIGH, from "
    "which it draws evenly in the logarithm; repeatable.",
)
@click.option("--workers", type=click.IntRange(min=1), help="As of `bench run`.")
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("tries"),
    show_default=True,
    help="Folder of tries: each has one of its own, with its suite and its page.",
)
@click.option("--dry-run", is_flag=True, help="Write the suite and say what would run.")
def command(
    file: Path,
    suite: str,
    profile: str,
    store: Path,
    part: str | None,
    given: tuple[str, ...],
    onto: tuple[str, ...],
    searched: tuple[str, ...],
    workers: int | None,
    folder: Path,
    dry_run: bool,
) -> None:
    """Put a part of yours beside a suite's methods: run, compare with each, make a page.

    FILE has a penalty, patch, update, trainable set or head initialisation. The suite's own cells
    are the suite's: what the store has of them is not run again. Where the suite searches, yours
    is searched for by as many trials. The page has the paired differences from each method, and a
    verdict on the mean over all places of the table.
    """
    from bench.cli import claims, plan, report
    from bench.spec.find import find_suite
    from bench.spec.plan import load_plan
    from bench.spec.trying import paper_beside, part_to_try, suite_beside

    base, chosen = find_suite(suite), part_to_try(file, part)
    settings = {name: _values(text)[0] for name, text in _pairs(given, "--set")}
    space = {name: _tried(text) for name, text in _pairs(searched, "--search")}
    whole = suite_beside(base, profile, chosen, settings=settings, onto=onto, space=space)
    paper = paper_beside(base, profile, whole, chosen)
    own = folder / paper["id"]
    written = own / base.name
    _write(written, whole)
    _write(own / "paper.yaml", paper)
    click.echo(f"{written}: {whole['title']}")
    load_plan(written, profile)
    context, named = click.get_current_context(), (str(written.resolve()),)
    if dry_run:
        context.invoke(plan.command, suites=named, profile=profile, store=store)
        return
    code = _run(context, suites=named, profile=profile, store=store, workers=workers)
    context.invoke(report.command, suites=named, profile=profile, store=store, folder=folder)
    context.invoke(claims.command, paper=str(own.resolve()), profile=profile, store=store)
    click.echo(f"\nthe page: {own / f'{base.stem}.{profile}.md'}")
    sys.exit(code)


def _run(context: click.Context, **given: Any) -> int:
    """Run, and return 0, or 1 where cells failed, which the page shows; else end as the run did."""
    from bench.cli import run

    try:
        context.invoke(run.command, **given)
    except SystemExit as end:
        if end.code not in (None, 0, _FAILED):
            raise
        return int(end.code or 0)
    return 0


def _pairs(given: Iterable[str], option: str) -> Iterator[tuple[str, str]]:
    for text in given:
        name, sign, value = text.partition("=")
        if not (name and sign and value):
            raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint=option)
        yield name, value


def _tried(text: str) -> Tried:
    """Return values between commas, or the range LOW..HIGH, as a suite would have them."""
    low, dots, high = text.partition("..")
    return {"log-uniform": [*_values(low), *_values(high)]} if dots else _values(text)


def _values(text: str) -> list[Scalar]:
    from bench.spec.loader import parse_yaml

    values: list[Scalar] = parse_yaml(f"[{text}]", Path("command line")).data
    return values


def _write(file: Path, data: Any) -> None:
    from bench.files import write_whole
    from bench.spec.loader import dump_yaml

    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, dump_yaml(data))
