"""``bench new``."""

from __future__ import annotations

import re
from pathlib import Path

import click

from bench.errors import SpecError, UserError, did_you_mean

_TEMPLATES = Path(__file__).parents[1] / "templates"
# What stands in templates for the names that are asked for.
_PART, _CLASS, _PAPER, _SUITE = "my-part", "MyPart", "my-paper", "my-suite"
_SUITE_OF_A_PAPER = "table"
_SUITES = """\b
Example:
  bench new suite mine                 suites/mine/table.yaml, and suites/mine/paper.yaml
  bench new suite mine/more-images     suites/mine/more-images.yaml
"""
_PARTS = """\b
Example:
  bench new part penalty l1-sp         l1_sp.py
"""
EPILOG = _SUITES + _PARTS.removeprefix("\b\nExample:\n")


@click.group("new", epilog=EPILOG)
def command() -> None:
    """Write a commented suite, or a part, that runs as it is: to be changed.

    Nothing that is there is overwritten.
    """


@command.command("suite", epilog=_SUITES)
@click.argument("name", metavar="PAPER[/SUITE]")
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("suites"),
    show_default=True,
    help="Folder of suites: in ./suites they are found by their names.",
)
def suite(name: str, folder: Path) -> None:
    """Write a suite that trains in a minute, and its paper with a claim.

    PAPER is the name of a folder of suites, SUITE that of one in it: `table` where it is not given.
    """
    from bench.spec.naming import is_name

    paper, _, own = name.partition("/")
    own = own or _SUITE_OF_A_PAPER
    for each in (paper, own):
        if not is_name(each) or each in ("paper", "reported"):
            raise UserError(
                f"{each!r} cannot be the name of a paper or a suite",
                remedy="take letters, digits, dots, _, + and -; not paper, not reported",
            )
    names = {_PAPER: paper, _SUITE: own}
    home = folder / paper
    files = {home / f"{own}.yaml": _template("suite.yaml", names)}
    if not (home / "paper.yaml").exists():
        files[home / "paper.yaml"] = _template("paper.yaml", names)
    _write(files)
    found = f"{paper}/{own}" if folder == Path("suites") else str(home / f"{own}.yaml")
    click.echo(f"check it:         bench validate {found}")
    click.echo(f"look at one seed: bench run {found} --only seed=0")


@command.command("part", epilog=_PARTS)
@click.argument("kind")
@click.argument("name")
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Folder of the file; this one by default.",
)
def part(kind: str, name: str, folder: Path) -> None:
    """Write a part that passes the checks of its kind.

    KIND is penalty, trainable, patch, update, objective, transform, head, network or measurement;
    NAME is what suites call it, in small letters with - between words.
    """
    from bench.spec.parts import KINDS, find_part

    known = next((each for each in KINDS if each == kind), None)
    if known is None:
        raise SpecError(f"there is no kind of parts {kind!r}", remedy=did_you_mean(kind, KINDS))
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise UserError(f"{name!r} cannot be a part's name", remedy="write it like l1-sp")
    taken = find_part(known, name)
    if taken is not None:
        raise UserError(f"there is a {kind} {name!r}", file=taken.file, remedy="take another name")
    file = folder / f"{name.replace('-', '_')}.py"
    title = "".join(word.capitalize() for word in name.split("-"))
    _write({file: _template(f"{kind}.py", {_PART: name, _CLASS: title})})
    click.echo(f"check it: bench test-method {file}")
    if known in ("penalty", "patch", "update", "trainable", "head"):
        click.echo(f"try it:   bench try {file} --beside bss/table2 --profile smoke")
    else:
        click.echo("use it:   its comments say how a suite names it; docs/add-a-part.md")


def _template(name: str, names: dict[str, str]) -> str:
    text = (_TEMPLATES / name).read_text(encoding="utf-8")
    for placeholder, given in names.items():
        text = text.replace(placeholder, given)
    return text


def _write(files: dict[Path, str]) -> None:
    """Write new files, all or none."""
    from bench.files import write_whole

    for file in files:
        if file.exists():
            raise UserError("is there already", file=file, remedy="take another name, or delete it")
    for file, text in files.items():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, text)
        except OSError as error:
            raise UserError(f"cannot be written: {error.strerror}", file=file) from None
        click.echo(file)
