"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def _look_in(context: click.Context, _: click.Parameter, folders: tuple[Path, ...]) -> None:
    from bench.spec.find import looking_in

    if folders:
        context.with_resource(looking_in([folder.absolute() for folder in folders]))


class SlotsPerGpu(click.ParamType[int | None]):
    """``auto``, which is None, or a number from 1 on."""

    name = "auto|N"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | None:
        """Return the number; None for ``auto``."""
        if value is None or value == "auto":
            return None
        if isinstance(value, int | str) and str(value).isdecimal() and int(value) > 0:
            return int(value)
        self.fail(f"{value!r} is neither auto nor a number from 1 on", param, ctx)


suites_option = click.option(
    "--suites",
    "folders_of_suites",
    metavar="FOLDER",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    callback=_look_in,
    expose_value=False,
    help="A further folder of suites, looked in after ./suites and before those that come with "
    "Retable; may be given several times.  [default: RETABLE_SUITES]",
)


def suite_argument(function: F) -> F:
    """Add a suite's name, and where suites lie."""
    return click.argument("suite")(suites_option(function))


def suites_argument(function: F) -> F:
    """Add the names of suites and papers, and where they lie."""
    several = click.argument("suites", metavar="SUITE...", nargs=-1, required=True)
    return several(suites_option(function))


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
as_recorded_option = click.option(
    "--as-recorded",
    is_flag=True,
    help="Show records that only their code makes stale: the page says that today's code has not "
    "been seen to give these numbers.",
)
