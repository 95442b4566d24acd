"""Curves of done cells on their way to TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.cli.joint import Joint
    from bench.errors import UserError
    from bench.records.record import Record
    from bench.spec.cell import PlannedCell


class EventCurves:
    """Writes each done cell's curves below the folder of its suite, for TensorBoard."""

    def __init__(self, joint: Joint, folder: Path, profile: str) -> None:
        from bench.report.event_files import EventFiles

        self._files = EventFiles(folder)
        # A cell of several suites is in the folder of the first; further seeds are of the only one.
        self._suite = {
            cell_id: f"{session.name}.{profile}"
            for session in reversed(joint.sessions)
            for cell_id in session.states
        }
        self._first = f"{joint.sessions[0].name}.{profile}"
        self.failure: UserError | None = None
        for cell_id, planned in {p.cell.id: p for p in reversed(joint.cells)}.items():
            state = joint.states[cell_id]
            if state.done:
                self._write(planned, state.fresh[0])

    def _write(self, planned: PlannedCell, record: Record) -> None:
        suite = self._suite.get(planned.cell.id, self._first)
        self._files.write(suite, planned, record)

    def done(self, planned: PlannedCell, record: Record) -> None:
        """Write a cell that is done now; what cannot be written costs no cell and is kept."""
        from bench.errors import UserError

        try:
            self._write(planned, record)
        except UserError as error:
            self.failure = error
