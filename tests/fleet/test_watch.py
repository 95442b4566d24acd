"""What the watching side of a fleet says of cells, from the store alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.fleet.fleet import Fleets, Work, new_fleet
from bench.fleet.settings import SlurmSettings
from bench.fleet.watch import Watch
from bench.records.freshness import Expectations
from bench.records.store import Store
from bench.scheduling.progress import Silence
from tests.scheduling.test_local import act
from tests.scheduling.test_run import inline


def test_a_cell_that_another_pilot_has_done_after_all_has_not_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store")
    store.layout.cells.mkdir(parents=True)
    one = act("raise", until=1)
    fleet = new_fleet(["some"], "offline", (), {}, Work.of([one.cell.id], {}, {}))
    monkeypatch.setattr(Watch, "grow", lambda watch: 0)
    watch = Watch(
        fleet, Fleets(store.layout), SlurmSettings(), [one],
        lambda: store.states([one.cell], Expectations()), store, Silence(), slots=1, retries=0,
    )  # fmt: skip
    inline([one], store, retries=0)
    watch.step()
    found = watch.summary(False)
    assert [each.attempt for each in found.failures] == [1]
    assert found.exit_code == 1
    # A pilot that came later knows nothing of the attempt before it.
    inline([one], store, retries=0)
    watch.step()
    found = watch.summary(False)
    assert (found.done, found.failures, found.exit_code) == (1, (), 0)
