"""A user's part beside a suite's methods: what the store has of these is not run again."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from tests.cli.test_joint import MINE


def rows(told) -> list[dict]:
    return [json.loads(line) for line in told.output.splitlines()]


def test_only_the_part_of_yours_is_still_to_run(laid: Path, bench) -> None:
    before = [
        json.loads(line) for line in bench("plan", "laid/table", "--json").output.splitlines()
    ]
    (laid / "mine.py").write_text(MINE.replace("{factor}", "0.5"))
    told = bench("try", "mine.py", "--beside", "laid/table", "--set", "weight=0.25", "--dry-run")
    assert told.exit_code == 0, told.output
    assert "mine beside" in told.output
    suite = laid / "tries" / "try-mine-beside-laid-table" / "table.yaml"
    listed = rows(bench("plan", suite, "--json"))
    old = [row for row in listed if row["labels"].get("method") != "mine"]
    assert {row["id"]: row["state"] for row in old} == {row["id"]: row["state"] for row in before}
    mine = Counter(row["state"] for row in listed if row["labels"].get("method") == "mine")
    assert set(mine) == {"missing"}
    assert "weight: 0.25" in suite.read_text()


def test_what_cannot_be_tried_ends_with_what_to_do(laid: Path, bench) -> None:
    (laid / "mine.py").write_text(MINE.replace("{factor}", "0.5"))
    for arguments, why in (
        (("--set", "weight"), "is not NAME=VALUE"),
        (("--set", "wait=1"), "unknown key"),
        (("--onto", "nothing"), "has no method 'nothing'"),
        (("--search", "weight=1,2"), "searches for no settings"),
        (("--part", "yours"), "has no part 'yours' to try"),
        (("--set", "weight=1e-3,5"), "'1e-3,5' is not one value"),
        (("--set", "weight=1", "--set", "weight=2"), "weight is given twice"),
        (("--set", "weight=1", "--search", "weight=1,2"), "weight is set by --set too"),
        (("--set", "weight=1e-3]"), "Invalid value for --set: '1e-3]' is not valid YAML"),
        (("--search", "weight=1e-3.."), "Invalid value for --search: '1e-3..' is neither"),
    ):
        told = bench("try", "mine.py", "--beside", "laid/table", "--dry-run", *arguments)
        assert told.exit_code != 0
        assert why in " ".join(f"{told.output} {told.exception}".split())


def test_no_try_is_written_over_another(laid: Path, bench) -> None:
    """Nor is it settled by the other's looks: these are kept by the paper's id."""
    (laid / "mine.py").write_text(MINE.replace("{factor}", "0.5"))
    for weight in ("1", "2", "1"):
        told = bench("try", "mine.py", "--beside", "laid/table", "--set", f"weight={weight}",
                     "--dry-run")  # fmt: skip
        assert told.exit_code == 0, told.output
    first, second = sorted((laid / "tries").iterdir())
    assert first.name == "try-mine-beside-laid-table"
    assert second.name.startswith("try-mine-beside-laid-table-")
    for folder, weight in ((first, 1), (second, 2)):
        assert f"weight: {weight}\n" in (folder / "table.yaml").read_text()
        assert f"id: {folder.name}\n" in (folder / "paper.yaml").read_text()
