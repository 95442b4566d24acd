"""``bench show``."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.options import store_option

if TYPE_CHECKING:
    from bench.records.record import Curve, Record
    from bench.records.store import Store

EPILOG = """\b
Example:
  bench show e9fdc9                the first digits of a cell's id are enough
  bench show e9fdc9 --log
"""
_BARS = " ▁▂▃▄▅▆▇█"


@click.command("show", epilog=EPILOG)
@click.argument("cell")
@store_option
@click.option("--attempt", type=int, help="Which attempt; the last one where not given.")
@click.option("--log", "whole_log", is_flag=True, help="Print the attempt's whole log.")
@click.option("--json", "as_json", is_flag=True, help="Print the record as it is in the store.")
def command(cell: str, store: Path, attempt: int | None, whole_log: bool, as_json: bool) -> None:
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
        _show(opened, record, len(records), log)


def _show(store: Store, record: Record, attempts: int, log: Path) -> None:
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
    if outcome.curves:
        click.echo("\ncurves")
        for name, curve in outcome.curves.items():
            click.echo(f"  {name}\n    {sketch(curve, 32)}")
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


def sketch(curve: Curve, width: int = 48) -> str:
    """Return a curve as a line of bars with its first and last value."""
    values = [v for v in curve.value if v == v]
    if not values:
        return "no finite value"
    low, high = min(values), max(values)
    picked = [curve.value[i * len(curve.value) // width] for i in range(width)]
    if len(curve.value) <= width:
        picked = list(curve.value)
    span = (high - low) or 1.0
    bars = "".join(
        _BARS[1 + round((v - low) / span * (len(_BARS) - 2))] if v == v else "?" for v in picked
    )
    return (
        f"{bars}  {curve.value[0]:.4g} at {curve.axis} {curve.at[0]:g} "
        f"to {curve.value[-1]:.4g} at {curve.axis} {curve.at[-1]:g}"
    )
