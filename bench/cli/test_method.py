"""``bench test-method``."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from bench.cli.checking import Verdict
    from bench.spec.parts import PartKey

EPILOG = """\b
Example:
  bench test-method l1_sp.py
  bench test-method bss                  a built-in, by name
  bench test-method trainable:head       where several kinds have the name
"""


@click.command("test-method", epilog=EPILOG)
@click.argument("part", metavar="FILE|NAME|KIND:NAME")
@click.option(
    "--time-limit",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="Seconds a check may take.",
)
def command(part: str, time_limit: float) -> None:
    """Run the conformance checks of its kind on every part in a file.

    A file is a Python file of yours with parts of any kinds: penalty, trainable, patch, update,
    objective, transform, head, network, measurement. A name is that of a built-in part. The
    checks run as a cell does, in a process of their own. Exit code 1 if a check fails.
    """
    from bench.cli.checking import verdicts

    found, plugins = _parts(part)
    failed = 0
    for _, own in groupby(verdicts(found, plugins, time_limit), key=lambda verdict: verdict.part):
        failed += _print(own)
    click.echo(
        f"{failed} check{'' if failed == 1 else 's'} failed" if failed else "all checks passed"
    )
    sys.exit(1 if failed else 0)


def _print(verdicts: Iterable[Verdict]) -> int:
    """Print the checks of one part as they come; return how many have failed."""
    told: dict[str, str] = {}
    shown = False
    for verdict in verdicts:
        if not shown:
            click.echo(" ".join(verdict.part))
            shown = True
        detail = verdict.detail
        if not verdict.passed:
            # One fault that several checks meet is told once.
            first = told.setdefault(detail, verdict.check)
            detail = detail if first == verdict.check else f"as {first}"
        mark = "ok    " if verdict.passed else "FAILED"
        click.echo(f"  {mark} {verdict.check}" + (f": {detail}" if detail else ""))
    return len(told)


def _parts(given: str) -> tuple[list[PartKey], tuple[str, ...]]:
    """Return kinds and names of what is to be checked, and the files that they are in."""
    from bench.spec.parts import read_parts

    path = Path(given)
    if path.suffix == ".py" or path.is_file():
        file = path.resolve()
        return [(part.kind, part.name) for part in read_parts(file)], (str(file),)
    return [_named(given)], ()


def _named(given: str) -> PartKey:
    from bench.errors import SpecError, did_you_mean
    from bench.spec.parts import KINDS, built_in_parts, find_part, part_names

    known = built_in_parts()
    kind, colon, name = given.rpartition(":")
    if not colon:
        having = [key for key in known if key[1] == given]
        if len(having) == 1:
            return having[0]
        if having:
            raise SpecError(
                f"several kinds have a part {given!r}",
                remedy="say which: " + ", ".join(f"{of}:{given}" for of, _ in having),
            )
        raise SpecError(
            f"{given!r} is neither a Python file nor a built-in part",
            remedy=did_you_mean(given, dict.fromkeys(name for _, name in known)),
        )
    for of in KINDS:
        if of == kind:
            if find_part(of, name) is not None:
                return of, name
            raise SpecError(
                f"there is no {kind} {name!r}", remedy=did_you_mean(name, part_names(of, known))
            )
    raise SpecError(f"there is no kind of parts {kind!r}", remedy=did_you_mean(kind, KINDS))
