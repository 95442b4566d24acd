"""``bench try``."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.options import profile_option, store_option, suites_option

if TYPE_CHECKING:
    from bench.spec.recipe import Scalar
    from bench.spec.trying import Tried

# The exit code of a run of which a cell failed.
_FAILED = 1
_SET, _SEARCH = "--set", "--search"
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
    help="Folder of tries: each has one of its own, try-PART-beside-PAPER-SUITE, with its suite "
    "and its page; one with other settings has a name with their digest.",
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
    from bench.spec.loader import dump_yaml
    from bench.spec.trying import paper_beside, part_to_try, suite_beside

    base, chosen = find_suite(suite), part_to_try(file, part)
    settings = {name: _set(text) for name, text in _pairs(given, _SET).items()}
    space = {name: _tried(text) for name, text in _pairs(searched, _SEARCH).items()}
    for name in (name for name in settings if name in space):
        raise click.BadParameter(f"{name} is set by --set too: leave one out", param_hint=_SEARCH)
    whole = suite_beside(base, profile, chosen, settings=settings, onto=onto, space=space)
    paper, text = paper_beside(base, profile, whole, chosen), dump_yaml(whole)
    paper["id"] = _free_name(folder, paper["id"], base.name, text)
    own = folder / paper["id"]
    written = own / base.name
    _write(written, text)
    _write(own / "paper.yaml", dump_yaml(paper))
    click.echo(f"{written}: {whole['title']}")
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


def _pairs(given: Iterable[str], option: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not (name and sign and value):
            raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint=option)
        if name in pairs:
            raise click.BadParameter(f"{name} is given twice", param_hint=option)
        pairs[name] = value
    return pairs


def _set(text: str) -> Scalar:
    values = _values(text, _SET)
    if len(values) != 1:
        raise click.BadParameter(
            f"{text!r} is not one value; several are tried by --search", param_hint=_SET
        )
    return values[0]


def _tried(text: str) -> Tried:
    """Return values between commas, or the range LOW..HIGH, as a suite would have them."""
    from bench.spec.drawing import dimension

    low, dots, high = text.partition("..")
    tried: Tried = _values(text, _SEARCH)
    if dots:
        tried = {"log-uniform": [*_values(low, _SEARCH), *_values(high, _SEARCH)]}
    try:
        dimension(tried)
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} is neither values between commas nor LOW..HIGH: {error}", param_hint=_SEARCH
        ) from None
    return tried


def _values(text: str, option: str) -> list[Scalar]:
    from bench.errors import SpecError
    from bench.spec.loader import parse_yaml

    try:
        values: list[Scalar] = parse_yaml(f"[{text}]", Path(option)).data
    except SpecError as error:
        raise click.BadParameter(f"{text!r} is {error.message}", param_hint=option) from None
    return values


def _free_name(folder: Path, name: str, suite: str, text: str) -> str:
    """Return a try's name: with a digest of its suite where another try has the name already.

    What a try has been settled by, and its page, are under its name.
    """
    from bench.spec.naming import is_name

    others = [file for file in (folder / name).glob("*.yaml") if file.name != "paper.yaml"]
    mine = [file.name == suite and file.read_text(encoding="utf-8") == text for file in others]
    if all(mine) and is_name(name):
        return name
    return f"{name[:90]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _write(file: Path, text: str) -> None:
    from bench.files import write_whole

    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, text)
