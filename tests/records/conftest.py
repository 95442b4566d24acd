from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.records.codec import dump_record
from bench.records.record import Record
from bench.records.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def put(store: Store) -> Callable[[Record], Path]:
    """Write a record as a runner would have left it."""

    def write(record: Record) -> Path:
        path = store.layout.cell(record.id).record(record.attempt)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dump_record(record))
        return path

    return write
