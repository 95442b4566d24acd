"""Arrays that cells left in the store, for figures that draw them."""

from __future__ import annotations

from collections.abc import Mapping

from bench.records.artifacts import read_artifact
from bench.records.record import Record
from bench.records.store import Store
from bench.report.results import Arrays

ARRAYS = "arrays"


class StoredArrays:
    """Reads the artifact ``arrays`` of records, whose bytes are those that were written."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __call__(self, record: Record) -> Mapping[str, Arrays]:
        """Return a record's arrays by name; none where it left none.

        Raises
        ------
        StoreError
            If the file's bytes are not those that were written.
        """
        from safetensors.numpy import load

        found = self._store.artifact([record], ARRAYS)
        return load(read_artifact(found[1], found[2])) if found is not None else {}
