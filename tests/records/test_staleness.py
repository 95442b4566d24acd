"""An edit makes stale exactly the cells whose numbers it may change, and says why.

Each edit is made to a copy of the package; what it does to ids, digests and settings is found by
an interpreter that has only the copy.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SUITE = """
title: Everything that an edit can touch
axes:
  backbone: test_resnet
  weights: random
  dataset: [glyphs, digits]
  sampling_rate: 1.0
  method: [plain, l2, delta]
  seed: 1
recipe:
  steps: 10
methods:
  plain: {}
  l2: {penalties: {l2: {weight: 1e-3}}}
  delta: {penalties: {delta: {}}}
profiles:
  offline: {}
"""
# Says each cell's id and what its record would say; or why records made earlier are stale.
PROBE = """
import json, sys
from dataclasses import replace
from pathlib import Path
from bench.records.codec import dump_record, load_record
from bench.records.expect import expectations
from bench.records.freshness import stale_reasons
from bench.records.record import Outcome, Provenance, Record
from bench.spec.plan import load_plan

plan = load_plan(Path(sys.argv[1]))
cells = plan.unique()
now = expectations(cells.values(), plan.resources)
before = Path(sys.argv[2])
if not before.exists():
    made = {
        i: Record(c.to_json(), 1, "", "", 0.0,
                  Outcome("done", provenance=Provenance(code=now.code_of(c))))
        for i, c in cells.items()
    }
    before.write_text(json.dumps({i: dump_record(r) for i, r in made.items()}))
told = {}
for i, text in json.loads(before.read_text()).items():
    if i in cells:
        cell = replace(cells[i], parents={})
        reasons = stale_reasons(load_record(text.encode()), cell, now, {})
        names = [cell.kind, *cell.datasets, *(name for kind, name in cell.parts
                                             if kind == "penalty")]
        told[" ".join(names)] = list(reasons)
print(json.dumps({"ids": list(cells), "reasons": told}))
"""


class Copy:
    """A copy of the package with a suite, and records of all its cells as it was."""

    def __init__(self, folder: Path, ids: list[str]) -> None:
        self.folder = folder
        self.suite = folder / "paper" / "table.yaml"
        self.records = folder / "records.json"
        self.ids = ids

    def look(self) -> dict[str, Any]:
        ran = subprocess.run(
            [sys.executable, "-c", PROBE, str(self.suite), str(self.records)],
            cwd=self.folder, env={**os.environ, "PYTHONPATH": str(self.folder)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        found: dict[str, Any] = json.loads(ran.stdout)
        return found

    def stale(self) -> dict[str, list[str]]:
        """Return the stale cells with their reasons; no id may have changed."""
        found = self.look()
        assert found["ids"] == self.ids
        return {name: reasons for name, reasons in found["reasons"].items() if reasons}

    def edit(self, file: str, change: Callable[[str], str]) -> None:
        path = self.folder / "bench" / file
        before = path.read_text()
        after = change(before)
        assert after != before
        path.write_text(after)


def code(text: str) -> str:
    """Add a line of code to a file."""
    return f"{text}\n_EDITED = True\n"


def replacing(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert text.count(old) == 1, old
        return text.replace(old, new)

    return change


@pytest.fixture(scope="module")
def unedited(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    folder = tmp_path_factory.mktemp("unedited")
    shutil.copytree(ROOT / "bench", folder / "bench", ignore=shutil.ignore_patterns("__pycache__"))
    made = Copy(folder, [])
    made.suite.parent.mkdir()
    made.suite.write_text(SUITE)
    made.suite.with_name("paper.yaml").write_text("id: test\ntitle: A test\n")
    # The first look makes the records.
    made.ids = made.look()["ids"]
    assert made.ids
    return made


@pytest.fixture
def copy(unedited: Copy, tmp_path: Path) -> Copy:
    shutil.copytree(unedited.folder, tmp_path, dirs_exist_ok=True)
    return Copy(tmp_path, unedited.ids)


def of(reason: str, *names: str) -> dict[str, list[str]]:
    return {name: [reason] for name in names}


TRAINED = tuple(
    f"train {dataset}{penalty}" for dataset in ("glyphs", "digits")
    for penalty in ("", " l2", " delta")
)  # fmt: skip
MEASURED = ("channel-attention glyphs", "channel-attention digits")
ALL = (*TRAINED, *MEASURED)


def test_at_first_nothing_is_stale(copy: Copy) -> None:
    assert sorted(copy.look()["reasons"]) == sorted(ALL)
    assert copy.stale() == {}


def test_what_is_only_added_makes_nothing_stale(copy: Copy) -> None:
    parts = copy.folder / "bench" / "parts"
    (parts / "penalties" / "nuclear.py").write_text(
        (parts / "penalties" / "l2.py").read_text().replace('penalty("l2")', 'penalty("nuclear")')
    )
    (copy.folder / "bench" / "training" / "unused.py").write_text("NEW = 1\n")
    (copy.folder / "bench" / "data" / "sources" / "elsewhere.py").write_text("NEW = 1\n")
    copy.edit(
        "spec/recipe.py",
        replacing("    channels_last: bool = True\n",
                  "    channels_last: bool = True\n    clip_norm: PositiveFloat | None = None\n"),
    )  # fmt: skip
    assert copy.stale() == {}


def test_comments_and_what_is_no_numeric_code_make_nothing_stale(copy: Copy) -> None:
    copy.edit("training/loop.py", lambda text: f"{text}\n# a remark\n")
    for file in ("spec/expand.py", "errors.py", "files.py", "records/store.py",
                 "scheduling/run.py", "report/page.py", "cli/run.py"):  # fmt: skip
        copy.edit(file, code)
    assert copy.stale() == {}


def test_a_part_makes_stale_those_that_use_it(copy: Copy) -> None:
    copy.edit("parts/penalties/l2.py", code)
    assert copy.stale() == of("code: penalty:l2", "train glyphs l2", "train digits l2")


def test_a_measurement_makes_itself_stale(copy: Copy) -> None:
    copy.edit("parts/measurements/channel_attention.py", code)
    assert copy.stale() == of("code: measurement:channel-attention", *MEASURED)


def test_the_training_loop_makes_stale_what_is_trained(copy: Copy) -> None:
    copy.edit("training/loop.py", code)
    assert copy.stale() == of("code: train", *TRAINED)


def test_a_data_source_makes_stale_the_cells_of_its_datasets(copy: Copy) -> None:
    copy.edit("data/sources/digits.py", code)
    stale = copy.stale()
    assert stale == of("code: data:digits", *(name for name in ALL if "digits" in name))


def test_a_changed_default_makes_stale_the_cells_that_have_it(copy: Copy) -> None:
    copy.edit(
        "spec/recipe.py", replacing("    head_bias: bool = True\n", "    head_bias: bool = False\n")
    )
    assert copy.stale() == of("settings: recipe.head_bias", *TRAINED)


def test_a_changed_default_of_a_part_makes_stale_those_that_have_it(copy: Copy) -> None:
    copy.edit(
        "parts/penalties/delta.py",
        replacing("    maps: NonNegativeFloat = 0.01\n", "    maps: NonNegativeFloat = 0.02\n"),
    )
    expected = ["code: penalty:delta", "settings: penalties.delta.maps"]
    assert copy.stale() == {name: expected for name in TRAINED if "delta" in name}


# Two cells on the local engine of the copy: each edits a file that its server has imported, and one
# of its own parts, before it says by what code it ran.
WHILE_RUNNING = """
import json, sys
from pathlib import Path
from bench.records.code import code_digests, units_of
from bench.records.record import Outcome, Provenance
from bench.scheduling.engines.local import LocalEngine
from bench.scheduling.device import Device
from bench.scheduling.job import Job
from bench.spec.cell import Resources
from bench.spec.plan import load_plan

import bench.spec.seeds

HERE = Path(__file__).parent

def edits(job):
    for file in ("spec/seeds.py", "parts/penalties/l2.py"):
        with open(HERE / "bench" / file, "a") as text:
            text.write(f"_EDITED = {job.attempt}\\n")
    code = code_digests(units_of(job.cell, Resources()))
    return Outcome("done", provenance=Provenance(code=code))

if __name__ == "__main__":
    cells = load_plan(Path(sys.argv[1])).unique().values()
    cell = next(cell for cell in cells if ("penalty", "l2") in cell.parts)
    expected = code_digests(units_of(cell, Resources()))
    device = Device("cpu", "", 1)
    engine = LocalEngine([device], target="running:edits")
    told = []
    for attempt in (1, 2, 3):
        folder = HERE / "store"
        folder.mkdir(exist_ok=True)
        # The second is expected to be by whatever there is, the third by what there was at first.
        code = {} if attempt == 2 else expected
        engine.start(Job(cell, attempt, folder, code=code), device)
        while not (ended := engine.poll(1.0)):
            pass
        outcome = ended[0].outcome
        told.append(dict(outcome.provenance.code) or outcome.failure.message)
    engine.close()
    print(json.dumps(told))
"""


def test_a_record_tells_of_the_code_that_ran_whatever_was_edited_meanwhile(copy: Copy) -> None:
    before = json.loads(copy.records.read_text())
    script = copy.folder / "running.py"
    script.write_text(WHILE_RUNNING)
    ran = subprocess.run(
        [sys.executable, str(script), str(copy.suite)],
        cwd=copy.folder, env={**os.environ, "PYTHONPATH": str(copy.folder)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    first, second, third = json.loads(ran.stdout)
    made = [json.loads(text)["record"]["outcome"]["provenance"]["code"] for text in before.values()]
    assert first in made
    # The server keeps the seeds it has imported; a part is imported by each worker anew.
    assert second["train"] == first["train"]
    assert second["penalty:l2"] != first["penalty:l2"]
    assert "the code of penalty:l2 was edited since this run began" in third
    # What reads the files now sees all of it.
    assert {name for name, reasons in copy.look()["reasons"].items() if reasons} == set(ALL)
