"""Curves as event files, which TensorBoard reads: a folder a cell."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from bench.errors import UserError
from bench.files import write_whole
from bench.records.record import Curve, Record
from bench.spec.cell import PlannedCell

_NAME = "events.out.tfevents"
_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]+")


class EventFiles:
    """A folder that TensorBoard may watch while it is written to.

    A value is written as it is recorded (a fraction, not a percentage), under the curve's name. A
    file is whole or not there, and named by when its attempt ended and its number: writing a record
    again changes nothing, and another record's file replaces it.
    TensorBoard counts in whole steps: a curve over anything else is left out.

    Raises
    ------
    UserError
        If ``tensorboard`` is not installed.
    """

    def __init__(self, root: Path) -> None:
        try:
            import tensorboard  # noqa: F401
        except ImportError:
            raise UserError(
                "curves are written by the package tensorboard, which is not installed",
                field="--tensorboard",
                remedy="pip install 'retable[tensorboard]'",
            ) from None
        self.root = root

    def write(self, suite: str, planned: PlannedCell, record: Record) -> Path | None:
        """Write a record's curves; return the file, None where there is no curve over steps.

        Parameters
        ----------
        suite
            Folder of its suite, below the root.

        Raises
        ------
        UserError
            If it cannot be written.
        """
        curves = {name: c for name, c in record.outcome.curves.items() if _in_steps(c)}
        if not curves:
            return None
        folder = self.root / suite / run_name(planned)
        moment = datetime.fromisoformat(record.ended).timestamp()
        file = folder / f"{_NAME}.{moment:.0f}.{record.attempt:04d}"
        try:
            if not file.exists():
                folder.mkdir(parents=True, exist_ok=True)
                write_whole(file, _events(curves, moment), durable=False)
            for other in folder.glob(f"{_NAME}.*"):
                if other != file:
                    other.unlink()
        except OSError as error:
            raise UserError(
                f"TensorBoard's files cannot be written: {error.strerror or error}",
                file=self.root,
                remedy="name another folder with --tensorboard",
            ) from None
        return file


def run_name(planned: PlannedCell) -> str:
    """Return a cell's name in TensorBoard: its labels and the beginning of its id."""
    labels = planned.labels if planned.shown else {"": planned.name, **planned.labels}
    words = [f"seed{value}" if axis == "seed" else str(value) for axis, value in labels.items()]
    plain = (_UNSAFE.sub("-", word).strip("-.") for word in [*words, planned.cell.id[:8]])
    return "_".join(word[:60] for word in plain if word)


def _in_steps(curve: Curve) -> bool:
    return curve.axis == "step" and all(float(at).is_integer() for at in curve.at)


def _events(curves: Mapping[str, Curve], moment: float) -> bytes:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    written = io.BytesIO()
    writer = RecordWriter(written)
    writer.write(Event(wall_time=moment, file_version="brain.Event:2").SerializeToString())
    for name, curve in curves.items():
        for at, value in zip(curve.at, curve.value, strict=True):
            summary = Summary(value=[Summary.Value(tag=name, simple_value=value)])
            event = Event(wall_time=moment, step=int(at), summary=summary)
            writer.write(event.SerializeToString())
    return written.getvalue()
