"""``bench doctor``."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.options import store_option

if TYPE_CHECKING:
    from bench.doctor.finding import Choice, Finding

EPILOG = """\b
Example:
  bench doctor
  bench doctor --store /shared/results --device cuda --json doctor.json

Exit code 1 if something fails. It downloads nothing, and leaves nothing in the store.
"""
_NAME, _MARK = 12, 9


@click.command("doctor", epilog=EPILOG)
@store_option
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="cpu: GPUs do not matter; cuda: there must be one.",
)
@click.option(
    "--json",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write all that was measured to this file too.",
)
def command(store: Path, device: Choice, file: Path | None) -> None:
    """Say whether this machine can run cells, and what to do where it cannot.

    Each line is a check: ok; look, what a run survives; fails; or not here. Checks run in
    processes of their own, with time limits.
    """
    from datetime import UTC, datetime

    from bench.doctor.examine import as_json, examine
    from bench.doctor.finding import Asked
    from bench.files import write_whole

    asked, found = Asked(store, device), []
    width = min(100, shutil.get_terminal_size((80, 24)).columns)
    for check, finding in examine(asked):
        found.append((check, finding))
        click.echo(lines_of(check.name, finding, width))
    if file is not None:
        plain = as_json(asked, found, datetime.now(UTC).isoformat(timespec="seconds"))
        write_whole(file, json.dumps(plain, indent=2) + "\n")
    failing = [check.name for check, finding in found if finding.mark == "fails"]
    looks = sum(finding.mark == "look" for _, finding in found)
    click.echo(_summed(failing, looks))
    sys.exit(int(bool(failing)))


def lines_of(name: str, finding: Finding, width: int) -> str:
    """Return a check's line, and under it its remedy if something is to be done."""
    indent = " " * (_NAME + _MARK)
    wrap = textwrap.TextWrapper(width, subsequent_indent=indent, break_on_hyphens=False)
    lines = wrap.wrap(f"{finding.mark:{_MARK}}{name:{_NAME}}{finding.fact}")
    if finding.remedy and finding.mark in ("look", "fails"):
        lines += wrap.wrap(f"{indent}→ {finding.remedy}")
    return "\n".join(lines)


def _summed(failing: list[str], looks: int) -> str:
    if failing:
        return f"fails: {', '.join(failing)}"
    return f"nothing fails; {looks} to look at" if looks else "all is well"
