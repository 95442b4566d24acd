"""Whatever byte of whatever file is changed, a page changes only to say that something is amiss."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.cli.session import Session, session_of
from bench.data.cache import CachePaths
from bench.data.digests import remember
from bench.data.folder_digest import dataset_digest
from bench.errors import StoreError
from bench.records.settling import SettlingRule, fix_settling_rule, settling_rule
from bench.records.store import Store
from bench.report.frame import cell_frame, frame_csv
from bench.spec.plan import Plan
from tests.cli.laid import lay


class Laid:
    """A store and a cache, and what their pages say as long as they are whole."""

    def __init__(self, folder: Path) -> None:
        self.plan: Plan = lay(folder)
        self.store = folder / "store"
        before = session_of(self.plan, self.store)
        self.expected = before.expected
        fix_settling_rule(before.store.layout, self.plan, SettlingRule(looks=(3, 9)))
        paths = CachePaths.of("glyphs", {}, folder / "cache")
        paths.rows.mkdir(parents=True)
        remember(paths, "d" * 64, ["a warning"])
        roots = (self.store, folder / "cache")
        self.files = sorted(p for root in roots for p in root.rglob("*") if p.is_file())
        self.records = before.done()
        self.rows = rows(before)
        self.seen: set[frozenset[str]] = set()

    def session(self) -> Session:
        """Return what a command finds; the code is the same all the time."""
        cells, store = self.plan.unique().values(), Store(self.store)
        names = {name for cell in cells for name in cell.datasets}
        data = {name: dataset_digest(name, self.plan.resources) for name in names}
        expected = replace(self.expected, data=data)
        return Session(self.plan, store, expected, store.states(cells, expected))


def rows(session: Session) -> dict[str, dict[str, str]]:
    """Return the page's values of each cell."""
    text = frame_csv(cell_frame(session.results()))
    return {row["cell"]: row for row in csv.DictReader(text.splitlines())}


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laid]:
    folder = tmp_path_factory.mktemp("laid")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETABLE_CACHE", str(folder / "cache"))
        yield Laid(folder)


@settings(
    max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
@given(st.data())
def test_no_byte_changes_a_number_that_is_shown(laid: Laid, data: st.DataObject) -> None:
    file = data.draw(st.sampled_from(laid.files))
    whole = file.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1)) if whole else 0
    other = data.draw(st.integers(1, 255))
    if whole:
        file.write_bytes(whole[:place] + bytes([whole[place] ^ other]) + whole[place + 1 :])
    try:
        session = laid.session()
        said = _said(laid, session)
        shown = session.done()
        assert all(shown[i] == laid.records[i] for i in shown)
        lost = laid.records.keys() - shown.keys()
        if lost:
            assert said, f"{file} lost {lost} in silence"
            # A page is made of the records alone: of the same ones it is the same.
            if frozenset(lost) not in laid.seen:
                _only_missing(laid, session, lost)
                laid.seen.add(frozenset(lost))
    finally:
        file.write_bytes(whole)


def _said(laid: Laid, session: Session) -> bool:
    """Whether it is said that a file is broken."""
    try:
        rule = settling_rule(session.store.layout, laid.plan)
    except StoreError:
        return True
    assert rule == SettlingRule(looks=(3, 9))
    return bool(session.store.broken or session.store.foreign)


def _only_missing(laid: Laid, session: Session, lost: set[str]) -> None:
    now = rows(session)
    assert now.keys() == laid.rows.keys()
    for cell_id, row in now.items():
        if cell_id in lost:
            assert row["state"] in ("missing", "stale")
            # Where no cell is left there is not even the column.
            assert row.get("test/top1", "") == ""
        else:
            assert row == laid.rows[cell_id]
