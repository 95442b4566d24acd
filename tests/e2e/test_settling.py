"""Seeds only where a claim is open, and what changed between two stores: whole commands."""

from __future__ import annotations

import json
import shutil

import pytest

from .test_docs import files_of, write

pytestmark = pytest.mark.e2e
SUITE = "settled/table.yaml"


def seeds(bench, name: str) -> set[int]:
    """Seeds that the cells of a method have, told by its penalties and learning rate."""

    def method(cell: dict) -> str:
        penalties = {name for use in cell["settings"]["penalties"] for name in use}
        if "bss" in penalties:
            return "l2+bss"
        return "l2" if penalties else "untrained"

    return {r["cell"]["seed"] for r in bench.records() if method(r["cell"]) == name}


def verdicts(bench) -> dict[str, dict]:
    data = json.loads(bench("claims", "settled", "--json"))
    return {claim["id"]: claim for claim in data["claims"]}


def test_settling_and_diff_work_as_described(bench):
    write(bench.folder, files_of("settling.md"))
    run = ("run", SUITE, "--until-decided")
    plan = bench(*run, "--max-seeds", "8", "--dry-run")
    assert "looks at 3, 5, 8 seeds" in plan
    assert "9 of the suite's own 9 cells come first" in plan
    assert not bench.records()
    assert not list(bench.store.glob("settling/*"))

    # The rule is fixed before the suite's own cells; a look that is estimated to end after the
    # budget is not begun.
    stopped = bench(*run, "--max-seeds", "8", "--budget", "1e-9", "--workers", "2")
    assert "This look is not begun" in stopped
    assert len(bench.records()) == 9
    shutil.copytree(bench.store, bench.folder / "before")
    # So a report that comes first judges by looks too.
    assert verdicts(bench)["training-helps"]["sequential"]["looks"] == [3, 5, 8]
    assert "3 -> 5" in bench(*run, "--dry-run")

    # Without the rule, the same records have used up their 5%.
    (rule,) = bench.store.glob("settling/*")
    kept = rule.read_bytes()
    rule.unlink()
    assert "second chance" in bench(*run, code=2)
    rule.write_bytes(kept)

    output = bench(*run, "--workers", "2")
    found = verdicts(bench)
    assert found["training-helps"]["verdict"] == "supported"
    look = found["training-helps"]["sequential"]["look"]
    assert look in (5, 8)
    assert f"at the look at {look} seeds" in output
    assert seeds(bench, "untrained") == set(range(look)) <= seeds(bench, "l2")
    assert found["training-helps"]["comparisons"][0]["n"] >= look
    # Cells of BSS were made for its own claim alone.
    bss = found["bss-gains-much"]["comparisons"][0]["n"]
    assert found["bss-gains-much"]["verdict"] in ("undecided", "refuted")
    assert seeds(bench, "l2+bss") == set(range(bss))
    assert set(bench.done().values()) == {1}

    # Decided is decided: nothing is added, and another last look is refused.
    records = len(bench.records())
    bench(*run)
    assert len(bench.records()) == records
    assert "was fixed at 8 seeds" in bench(*run, "--max-seeds", "30", code=2)
    bench("report", SUITE)
    folder = bench.folder / "leaderboards" / "settled"
    assert "Settled by a sequential rule" in (folder / "table.offline.md").read_text()
    assert len((folder / "table.offline.csv").read_text().splitlines()) == 1 + 9
    further = (folder / "table.offline.further.csv").read_text().splitlines()
    assert len(further) == 1 + records - 9

    same = bench("diff", "before", "results", "--suite", SUITE, "--fail-on", "different")
    assert "3 entries in both: 3 identical" in same
    assert "code, data, weights, versions and machines are the same" in same


def test_options_of_settling_alone_are_refused(bench):
    write(bench.folder, files_of("settling.md"))
    assert "go with --until-decided" in bench("run", SUITE, "--dry-run", code=2)
    assert "adds none" in bench("run", SUITE, "--until-decided", "--max-seeds", "3", code=2)
    (bench.folder / "settled" / "paper.yaml").write_text("id: settled\ntitle: T\n")
    assert "nothing to decide" in bench("run", SUITE, "--until-decided", code=2)
