"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

suite_argument = click.argument("suite")
suites_argument = click.argument("suites", metavar="SUITE...", nargs=-1, required=True)
profile_option = click.option(
    "-p", "--profile", default="offline", show_default=True, help="Which overlay of the suite."
)
store_option = click.option(
    "--store",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("results"),
    show_default=True,
    envvar="RETABLE_STORE",
    help="Folder of records, leases and artifacts.",
)
only_option = click.option(
    "--only",
    metavar="AXIS=VALUES",
    multiple=True,
    help="Only these cells, and what they start from: values between commas, or numbers LOW:HIGH, "
    "HIGH not among them; repeatable, for each axis.",
)
same_versions_option = click.option(
    "--same-versions",
    is_flag=True,
    help="Count a record that other versions of libraries made as stale.",
)
