"""``bench clean``."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.options import store_option

EPILOG = """\b
Example:
  bench clean --dry-run            say what would be removed
  bench clean --store results
"""


@click.command("clean", epilog=EPILOG)
@store_option
@click.option("--dry-run", is_flag=True, help="Remove nothing; list what would be removed.")
@click.option(
    "--artifacts",
    is_flag=True,
    help="Also checkpoints and other artifacts that no done record names.",
)
def command(store: Path, dry_run: bool, artifacts: bool) -> None:
    """Remove from a store what dead runners have left behind.

    Their leases and owner files, the files of fleets that are over, and files that they did not
    finish. Nothing that a living runner has, no record, no log of a cell, and no artifact unless
    asked for: it may be used while others run.
    """
    from collections import Counter
    from contextlib import nullcontext

    from bench.cli.crews import remove_fleets
    from bench.errors import StoreError
    from bench.records.litter import cleaning, litter, remove
    from bench.records.store import Store

    opened = Store(store)
    if not opened.layout.cells.is_dir():
        raise StoreError("there is no store here", file=opened.root, remedy="give --store")
    try:
        with nullcontext() if dry_run else cleaning(opened):
            found = litter(opened, artifacts=artifacts)
            size = sum(one.size for one in found) if dry_run else remove(opened, found)
            fleets = remove_fleets(opened, dry_run=dry_run)
    except OSError as error:
        raise StoreError(
            f"the store cannot be cleaned: {error.strerror or error}",
            file=error.filename or opened.root,
            remedy="mend its permissions",
        ) from None
    if dry_run:
        for one in found:
            click.echo(one.path)
    counts: Counter[str] = Counter(one.kind for one in found)
    if fleets:
        counts["fleet"] = fleets
    what = ", ".join(f"{n:,} {kind}{'s' if n > 1 else ''}" for kind, n in counts.items())
    does = "would remove" if dry_run else "removed"
    click.echo(f"{does} {what or 'nothing'}: {_bytes(size)}")


def _bytes(size: int) -> str:
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000  # type: ignore[assignment]
    return f"{size:,.1f} GB"
