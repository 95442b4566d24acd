"""``bench export``."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.options import profile_option, store_option, suite_argument

if TYPE_CHECKING:
    from bench.cli.session import Session
    from bench.records.record import Record
    from bench.spec.cell import Cell, PlannedCell

EPILOG = """\b
Example:
  bench run sources/pretrain --keep
  bench export sources/pretrain --to my-weights
  bench run modelpatch/table1 --keep-patches
  bench export modelpatch/table1 --patch --to my-patches
"""


@click.command("export", epilog=EPILOG)
@suite_argument
@profile_option
@store_option
@click.option(
    "--patch",
    "patches",
    is_flag=True,
    help="What cells that train a part changed, beside the checkpoint of the stage it belongs to.",
)
@click.option(
    "--to",
    "folder",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write NAME.safetensors and NAME.json to; NAME.patch.… with --patch.",
)
def command(suite: str, profile: str, store: Path, patches: bool, folder: Path) -> None:
    """Copy the checkpoints of a suite's cells, each with the record that made it.

    Every cell must be done and have kept its checkpoint (bench run --keep); with --patch, its patch
    (bench run --keep-patches). NAME is the dataset trained on, and the cell's values of all other
    axes that have several.
    """
    from bench.cli.printing import again
    from bench.cli.session import open_session
    from bench.errors import StoreError
    from bench.spec.cell import CHECKPOINT, PATCH

    session = open_session(suite, profile, store)
    wanted = PATCH if patches else CHECKPOINT
    cells = [cell for cell in session.plan.unique().values() if cell.can_leave(wanted)]
    if not cells:
        raise StoreError(
            f"no cell of {session.plan.suite.name} can leave a {wanted}",
            remedy="with a trainable set of all a patch would be the network: export checkpoints"
            if patches
            else "export a suite that trains networks",
        )
    copies = _Copies(session, folder)
    flag = "--keep-patches" if patches else "--keep"
    remedy = again("run", suite, profile, store, flag)
    for cell in cells:
        record = copies.copy(cell, wanted, remedy)
        bodies = copies.bodies(cell, record, remedy) if patches else {}
        copies.write_about(cell, wanted, record, bodies)


def export_names(cells: Sequence[PlannedCell]) -> dict[str, str]:
    """Return a name for each cell's files, by id.

    It is the dataset, then the cell's values of the other axes that have several, or what the cell
    is there for; and the dataset and the id where that would be two cells' name, or none.
    """
    from bench.spec.naming import is_name, joined_name

    values: defaultdict[str, set[object]] = defaultdict(set)
    for planned in cells:
        for axis, value in planned.labels.items():
            values[axis].add(value)
    telling = [axis for axis in values if axis != "dataset" and len(values[axis]) > 1]
    first: dict[str, PlannedCell] = {}
    for planned in cells:
        first.setdefault(planned.cell.id, planned)

    def told(planned: PlannedCell) -> str:
        labels = {axis: planned.labels[axis] for axis in telling if axis in planned.labels}
        shown = [v if isinstance(v, str) else f"{axis} {v}" for axis, v in labels.items()]
        behind = [planned.name] if planned.name else []
        return joined_name(planned.cell.dataset, *shown, *behind)

    names = {cell_id: told(planned) for cell_id, planned in first.items()}
    count = Counter(names.values())
    return {
        cell_id: name
        if count[name] == 1 and is_name(name)
        else joined_name(first[cell_id].cell.dataset, cell_id)
        for cell_id, name in names.items()
    }


class _Copies:
    """Copies artifacts of a session's cells into a folder, each once."""

    def __init__(self, session: Session, folder: Path) -> None:
        self._cells = session.plan.unique()
        self._session = session
        self._folder = folder
        self._names = export_names(session.plan.cells)
        self._done: set[str] = set()
        folder.mkdir(parents=True, exist_ok=True)

    def copy(self, cell: Cell, artifact: str, remedy: str, used: str | None = None) -> Record:
        """Copy an artifact, of the bytes that were used where that is given; return its record."""
        from bench.errors import StoreError
        from bench.files import write_whole
        from bench.records.artifacts import read_artifact

        state = self._session.states[cell.id]
        found = self._session.store.artifact(state.fresh, artifact)
        if found is None or (used is not None and found[2] != used):
            what = "no" if used is None else "no more the"
            raise StoreError(
                f"cell {cell.id} ({self._names[cell.id]}), {state.state}, has {what} {artifact} "
                f"here{'' if used is None else ' that another cell started from'}",
                file=self._session.store.root,
                remedy=remedy,
            )
        record, source, digest = found
        target = self._folder / self._file(cell, artifact)
        if target.name not in self._done:
            self._done.add(target.name)
            content = read_artifact(source, digest)
            write_whole(target, content)
            top1 = record.outcome.metrics.get("test/top1")
            scored = "" if top1 is None else f", test/top1 {top1:.1%}"
            click.echo(f"{target}  {len(content) / 1e3:,.1f} kB{scored}")
        return record

    def bodies(self, cell: Cell, record: Record, remedy: str) -> dict[str, str]:
        """Copy what a cell started from where others left it; return the files' names by role."""
        from bench.spec.cell import START, body_of

        files: dict[str, str] = {}
        role = START
        while role in cell.parents:
            parent = cell.parents[role]
            stage = self._cells[parent.id]
            used = record.outcome.provenance.parents[role]["sha256"]
            self.copy(stage, parent.artifact, remedy, str(used))
            files[role] = self._file(stage, parent.artifact)
            role = body_of(role)
        return files

    def write_about(
        self, cell: Cell, artifact: str, record: Record, bodies: Mapping[str, str]
    ) -> None:
        """Write beside an artifact what made it, and of a patch what it belongs to."""
        from bench.files import write_whole
        from bench.records.record import candidate_of
        from bench.spec.cell import PATCH

        made = record.outcome.provenance
        about: dict[str, Any] = {
            "name": self._names[cell.id],
            "backbone": cell.backbone,
            "classes": made.data.get("classes"),
            "sha256": record.outcome.artifacts[artifact].sha256,
            "cell": cell.to_json(candidate_of(record.outcome)),
            "metrics": dict(record.outcome.metrics),
            "code": dict(made.code),
            "data": dict(made.data),
            "versions": dict(made.versions),
            "machine": dict(made.machine),
            "seconds": record.seconds,
        }
        if artifact == PATCH:
            about["body"] = {**made.weights["start"], "files": dict(bodies)}
        text = json.dumps(about, indent=2, sort_keys=True) + "\n"
        write_whole((self._folder / self._file(cell, artifact)).with_suffix(".json"), text)

    def _file(self, cell: Cell, artifact: str) -> str:
        from bench.spec.cell import CHECKPOINT
        from bench.spec.naming import joined_name

        state = artifact.removeprefix(CHECKPOINT).removeprefix("@")
        name = self._names[cell.id]
        return (joined_name(name, state) if state else name) + ".safetensors"
