"""``bench validate``."""

from __future__ import annotations

import sys

import click

from bench.cli.options import suites_option
from bench.errors import UserError
from bench.screen import printable

EPILOG = """\b
Example:
  bench validate                        every suite below suites/
  bench validate suites/bss/table2.yaml
"""


@click.command("validate", epilog=EPILOG)
@click.argument("suites", nargs=-1)
@suites_option
def command(suites: tuple[str, ...]) -> None:
    """Check suites in every profile, and the papers they belong to.

    Nothing is loaded or trained. Exit code 2 if anything is wrong.
    """
    from bench.spec.find import find_suites
    from bench.spec.layers import profile_names
    from bench.spec.paper import load_reported
    from bench.spec.plan import load_plan
    from bench.spec.reported import check_reported

    problems: list[str] = []
    for file in find_suites(suites):
        try:
            names = profile_names(file)
        except UserError as error:
            problems.append(str(error))
            continue
        for name in names:
            try:
                plan = load_plan(file, name)
                reported = load_reported(file.parent)
                if reported is not None:
                    check_reported(plan, reported)
            except UserError as error:
                if str(error) not in problems:
                    problems.append(str(error))
            else:
                count = len(plan.unique())
                click.echo(f"ok  {plan.paper.id}/{plan.suite.name} {name}: {count:,} cells")
    for problem in problems:
        click.echo(f"bench: {printable(problem)}", err=True)
    if problems:
        sys.exit(2)
