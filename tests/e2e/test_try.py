"""A part of yours beside a suite, by one command: cells, differences, verdicts and a page."""

from __future__ import annotations

import pytest

from .conftest import SUITE

pytestmark = pytest.mark.e2e

SMALL = SUITE.replace("[0.03, 0.05]", "0.05").replace("seed: 3", "seed: 2")
MINE = """
from bench.parts import Penalty, penalty

@penalty("mine")
class Mine(Penalty):
    weight: float = 1.0

    def __call__(self, step):
        return self.weight * step.logits.square().mean()
"""


def test_what_changes_nothing_differs_by_nothing(bench):
    suite = bench.suite(SMALL)
    bench("run", suite, "--workers", "2")
    before = bench.done()
    (bench.folder / "mine.py").write_text(MINE)
    told = bench("try", "mine.py", "--beside", suite, "--set", "weight=0", "--onto", "l2",
                 "--workers", "2")  # fmt: skip
    # Only its own cells ran: two methods at two seeds.
    assert "cells: 4 done now, 4 before" in told
    assert len(bench.done()) == len(before) + 4
    page = bench.folder / "tries" / "try-mine-beside-small-table" / "table.offline.md"
    assert told.rstrip().endswith("the page: tries/try-mine-beside-small-table/table.offline.md")
    text = " ".join(page.read_text().split())
    assert "| l2+mine − l2 | 0.00 (no spread) |" in text
    assert "No setting of mine is tuned here" in text
    for base in ("l2", "l2+bss"):
        for treated in ("mine", "l2+mine"):
            assert f"{treated}-against-{base}" in told


def test_where_cells_fail_there_is_a_page_that_says_so(bench):
    suite = bench.suite(SMALL.replace("seed: 2", "seed: 1"))
    (bench.folder / "mine.py").write_text(MINE.replace("return self.weight", "return 1 / 0"))
    told = bench("try", "mine.py", "--beside", suite, "--workers", "2", code=1)
    assert "ZeroDivisionError" in told
    page = (bench.folder / "tries" / "try-mine-beside-small-table" / "table.offline.md").read_text()
    row = next(line for line in page.splitlines() if line.startswith("| in the tables"))
    # Planned, done, missing, running, stale, failed.
    assert [cell.strip() for cell in row.split("|")[2:8]] == ["3", "2", "", "", "", "1"]
