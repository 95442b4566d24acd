"""``bench show``."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.options import store_option

if TYPE_CHECKING:
    from bench.records.record import Record
    from bench.records.store import Store
    from bench.report.site.cell_curves import Group

EPILOG = """\b
Example:
  bench show e9fdc9                the first digits of a cell's id are enough
  bench show e9fdc9 --log
  bench show e9fdc9 --to pictures  its curves as SVG files too
"""
# Where the output is no terminal; and how many groups of curves are drawn.
_WIDTH = 80
_GROUPS = 8


@click.command("show", epilog=EPILOG)
@click.argument("cell")
@store_option
@click.option("--attempt", type=int, help="Which attempt; the last one where not given.")
@click.option("--log", "whole_log", is_flag=True, help="Print the attempt's whole log.")
@click.option("--json", "as_json", is_flag=True, help="Print the record as it is in the store.")
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the curves as pictures (SVG).",
)
def command(
    cell: str,
    store: Path,
    attempt: int | None,
    whole_log: bool,
    as_json: bool,
    folder: Path | None,
) -> None:
    """Show one cell: its settings, results, curves, log and provenance.

    CELL is the beginning of an id, as printed by plan --json, status and the leaderboard's CSV.
    """
    from bench.errors import StoreError
    from bench.records.store import Store

    opened = Store(store)
    cell_id = opened.find(cell)
    records = opened.attempts(cell_id)
    chosen = [r for r in records if attempt is None or r.attempt == attempt]
    if not chosen:
        have = ", ".join(str(r.attempt) for r in records) or "none yet"
        raise StoreError(
            f"cell {cell_id} has no record of {'any attempt' if attempt is None else attempt}",
            remedy=f"attempts with a record: {have}",
        )
    record = chosen[-1]
    log = opened.log(cell_id, record.attempt)
    if as_json:
        click.echo(opened.layout.cell(cell_id).record(record.attempt).read_text(), nl=False)
    elif whole_log:
        click.echo(log.read_text(errors="replace") if log.exists() else "", nl=False)
    else:
        _show(opened, record, len(records), log, folder)


def _show(store: Store, record: Record, attempts: int, log: Path, folder: Path | None) -> None:
    from bench.cli.printing import wrapped

    outcome = record.outcome
    click.echo(f"cell {record.id}, attempt {record.attempt} of {attempts}: {outcome.status}")
    click.echo(f"{record.started} to {record.ended}, {record.seconds:.1f} s")
    if outcome.failure is not None:
        click.echo("\n" + wrapped(f"{outcome.failure.kind}: {outcome.failure.message}", "  "))
        if outcome.failure.detail:
            click.echo(outcome.failure.detail.rstrip())
    _tell_carried(store, record)
    cell = record.cell
    facts = {key: cell[key] for key in ("kind", "seed", "parents") if key in cell}
    # Every value, defaults included.
    _section("settings", {**facts, **cell.get("settings", {})})
    _section("metrics", dict(outcome.metrics))
    _show_curves(record, folder)
    _section("seconds", {k: round(v, 3) for k, v in outcome.timings.items()})
    provenance = outcome.provenance
    for name in ("code", "data", "weights", "parents", "versions", "machine"):
        _section(name, dict(getattr(provenance, name)))
    folder = store.layout.cell(record.id).path
    _section(
        "artifacts", {k: file_with_size(folder / v.file) for k, v in outcome.artifacts.items()}
    )
    click.echo(f"\nrecord  {store.layout.cell(record.id).record(record.attempt)}")
    if log.exists():
        click.echo(f"log     {log}")
        tail = log.read_text(errors="replace").splitlines()[-5:]
        for line in tail:
            click.echo(f"  {line}")


def _show_curves(record: Record, folder: Path | None) -> None:
    """Draw the curves in characters, as they are recorded, and name the files of their pictures."""
    if not record.outcome.curves:
        return
    from bench.cli.printing import terminal_width
    from bench.report.site.cell_curves import groups
    from bench.report.text_curves import text_curves

    found = groups(record, {})
    width = max(min(terminal_width() or _WIDTH, 2 * _WIDTH), 30)
    click.echo("\ncurves")
    for group in found[:_GROUPS]:
        click.echo("\n".join(["", *(f"  {line}" for line in text_curves(group, width - 2))]))
    if found[_GROUPS:]:
        click.echo(f"\n  and {len(found) - _GROUPS} more groups of curves")
    unseen = [
        name for name, c in record.outcome.curves.items() if not any(map(math.isfinite, c.value))
    ]
    for name in unseen:
        click.echo(f"\n  {name}: no finite value")
    if folder is None:
        click.echo(f"\n  as pictures: bench show {record.id[:8]} --to FOLDER")
    else:
        for path in write_pictures(folder, record.id, found):
            click.echo(path)


def write_pictures(folder: Path, cell_id: str, found: Sequence[Group]) -> list[Path]:
    """Write each group of a cell's curves as SVG; return the files.

    Raises
    ------
    UserError
        If the folder cannot be written.
    """
    from bench.errors import UserError
    from bench.files import write_whole
    from bench.report.site.cell_curves import group_svg

    paths = {folder / f"{cell_id}-{group.name}.svg": group for group in found}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, group in paths.items():
            write_whole(path, group_svg(group), durable=False)
    except OSError as error:
        raise UserError(
            f"pictures cannot be written: {error.strerror or error}",
            file=folder,
            field="--to",
            remedy="name another folder",
        ) from None
    return list(paths)


def file_with_size(path: Path) -> str:
    """Return an artifact's file with its bytes, and how many numbers its tensors hold."""
    from safetensors import SafetensorError, safe_open

    try:
        size = path.stat().st_size
        if path.suffix != ".safetensors":
            return f"{path.name} ({size:,} bytes)"
        with safe_open(path, framework="numpy") as file:
            names = file.keys()
            shapes = [file.get_slice(name).get_shape() for name in names]
    except FileNotFoundError:
        return f"{path.name}, which is gone"
    except (SafetensorError, OSError) as error:
        return f"{path.name}, which cannot be read: {error}"
    return f"{path.name} ({size:,} bytes, {sum(map(math.prod, shapes)):,} numbers)"


def _tell_carried(store: Store, record: Record) -> None:
    from bench.cli.printing import wrapped
    from bench.records.carried import file_of

    store.attestations.look()
    for attestation in store.attestations.covering(record):
        itself = "this one too" if record.id in attestation.executed else "not this one"
        told = (
            f"carried to the code of {attestation.made[:10]}: of {len(attestation.cells):,} cells, "
            f"{len(attestation.executed):,} were executed again by it, {itself}, all equal bit for "
            f"bit ({file_of(store.layout, attestation)})"
        )
        click.echo("\n" + wrapped(told, "  "))


def _section(title: str, values: dict[str, Any]) -> None:
    from bench.cli.printing import wrapped

    if values:
        click.echo(f"\n{title}")
        for key, value in sorted(values.items()):
            shown = value if isinstance(value, str) else json.dumps(value)
            click.echo(wrapped(f"  {key}: {shown}", "    "))
