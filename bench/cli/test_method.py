"""``bench test-method``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

EPILOG = """\b
Example:
  bench test-method l1_sp.py
  bench test-method bss              a built-in, by name
"""


@click.command("test-method", epilog=EPILOG)
@click.argument("file")
def command(file: str) -> None:
    """Run the conformance checks on every penalty in FILE.

    FILE is a Python file of yours, or the name of a built-in penalty. Exit code 1 if a check
    fails.
    """
    from bench.errors import SpecError
    from bench.spec.parts import built_in_parts, part_names, read_parts

    path = Path(file)
    plugins: tuple[str, ...] = ()
    if path.suffix == ".py" or path.exists():
        parts, plugins = read_parts(path.resolve()), (str(path.resolve()),)
    else:
        known = built_in_parts()
        if file not in known:
            from bench.errors import did_you_mean

            raise SpecError(
                f"{file!r} is neither a Python file nor a built-in penalty",
                remedy=did_you_mean(file, part_names(known)),
            )
        parts = (known[file],)
    from bench.methods.conformance import check_penalty

    failed = 0
    for part in parts:
        click.echo(part.name)
        for check in check_penalty(part.name, plugins):
            failed += not check.passed
            mark = "ok    " if check.passed else "FAILED"
            click.echo(f"  {mark} {check.name}" + (f": {check.detail}" if check.detail else ""))
    click.echo(f"{failed} checks failed" if failed else "all checks passed")
    sys.exit(1 if failed else 0)
