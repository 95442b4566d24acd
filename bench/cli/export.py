"""``bench export``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.options import profile_option, store_option, suite_argument

if TYPE_CHECKING:
    from bench.records.record import Record
    from bench.spec.cell import Cell

EPILOG = """\b
Example:
  bench run sources/pretrain --keep
  bench export sources/pretrain --to my-weights
"""


@click.command("export", epilog=EPILOG)
@suite_argument
@profile_option
@store_option
@click.option(
    "--to",
    "folder",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write NAME.safetensors and NAME.json to; NAME is the dataset trained on.",
)
def command(suite: str, profile: str, store: Path, folder: Path) -> None:
    """Copy the checkpoints of a suite's cells, each with the record that made it.

    Every cell must be done and have kept its checkpoint (bench run --keep).
    """
    from bench.cli.printing import again
    from bench.cli.session import open_session
    from bench.errors import StoreError

    session = open_session(suite, profile, store)
    datasets: set[str] = set()
    for planned in session.plan.cells:
        cell = planned.cell
        state = session.states[cell.id]
        found = session.store.artifact(state.fresh, "checkpoint")
        if found is None:
            raise StoreError(
                f"cell {cell.id} ({cell.dataset}), {state.state}, has no checkpoint here",
                file=session.store.root,
                remedy=again("run", suite, profile, store, "--keep"),
            )
        if cell.dataset in datasets:
            raise StoreError(
                f"two cells of this suite were trained on {cell.dataset}",
                remedy="an exported checkpoint is named after its dataset: export one of them",
            )
        datasets.add(cell.dataset)
        record, checkpoint, digest = found
        _export(cell, record, checkpoint, digest, folder)
        size = checkpoint.stat().st_size / 1e6
        top1 = record.outcome.metrics.get("test/top1", float("nan"))
        name = f"{cell.dataset}.safetensors"
        click.echo(f"{folder / name}  {size:.2f} MB, test/top1 {top1:.1%}")


def _export(cell: Cell, record: Record, checkpoint: Path, digest: str, folder: Path) -> None:
    from bench.files import write_whole
    from bench.records.artifacts import read_artifact

    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{cell.dataset}.safetensors"
    write_whole(target, read_artifact(checkpoint, digest))
    outcome = record.outcome
    about = {
        "name": cell.dataset,
        "backbone": cell.backbone,
        "classes": outcome.provenance.data["classes"],
        "sha256": digest,
        "cell": cell.to_json(),
        "metrics": dict(outcome.metrics),
        "code": dict(outcome.provenance.code),
        "data": dict(outcome.provenance.data),
        "versions": dict(outcome.provenance.versions),
        "machine": dict(outcome.provenance.machine),
        "seconds": record.seconds,
    }
    text = json.dumps(about, indent=2, sort_keys=True) + "\n"
    write_whole(target.with_suffix(".json"), text)
