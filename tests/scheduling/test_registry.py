"""Engines are found by name, and an installed package brings one without an edit here."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from bench.errors import UserError
from bench.records.codec import load_record
from bench.scheduling.engines.engine import EngineOptions
from bench.scheduling.engines.inline import InlineEngine
from bench.scheduling.engines.local import LocalEngine
from bench.scheduling.engines.registry import engine_names, make_engine

ROOT = Path(__file__).parents[2]
# All that a stranger writes: one file. It says on a device of its own what it was asked to do,
# and makes records that today's code, data and weights would make.
STRANGER = '''
"""Executes nothing, on a device called moon."""

from bench.records.artifacts import place
from bench.records.code import code_digests, units_of
from bench.records.expect import shipped_digest
from bench.records.record import Outcome, Provenance
from bench.scheduling.device import Device
from bench.scheduling.engines.engine import Ended
from bench.spec.catalogue import entry


class Moon:
    blocking = False

    def __init__(self, options):
        self.devices = [Device("moon", "", options.workers or 1)]
        self.ended = []

    def start(self, job, device):
        assert device.name == "moon"
        cell = job.cell
        kept = {
            name: place(job.folder, job.attempt, name, ".txt", lambda p: p.write_text(cell.id))
            for name in job.keep
        }
        made = Provenance(
            code=code_digests(units_of(cell, job.resources)),
            data={"dataset": entry(cell.dataset).digest},
            weights={"start": {"file": shipped_digest(cell.weights[0].partition(":")[2])}},
            parents={r: {"id": p.id, "sha256": p.sha256} for r, p in job.parents.items()},
            machine={"place": "moon"},
        )
        outcome = Outcome("done", {"test/top1": 0.5}, provenance=made, artifacts=kept)
        self.ended.append(Ended(job, outcome, 0.1))

    def poll(self, timeout):
        ended, self.ended = self.ended, []
        return ended

    def stop(self, hurry=lambda: False):
        return self.poll(0)

    def close(self):
        pass
'''


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Return a folder that, on the path, is an installed package with an engine."""
    site = tmp_path / "site"
    info = site / "moonshot-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "moonshot.py").write_text(STRANGER)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: moonshot\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        textwrap.dedent(
            """
            [retable.engines]
            moon = moonshot:Moon
            broken = moonshot_that_is_not_there:Moon
            """
        )
    )
    return site


def test_ours_are_made_without_looking_at_what_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: pytest.fail("it looks"))
    assert isinstance(make_engine("inline", EngineOptions("cpu")), InlineEngine)
    local = make_engine("local", EngineOptions("cpu", workers=3))
    assert isinstance(local, LocalEngine)
    assert [device.slots for device in local.devices] == [3]


def test_an_option_an_engine_has_not_is_an_error() -> None:
    with pytest.raises(UserError, match="no time limit"):
        make_engine("inline", EngineOptions("cpu", time_limit=1.0))


def test_an_unknown_name_is_told_the_nearest(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(installed))
    assert engine_names()[:2] == ["local", "inline"]
    assert {"moon", "broken"} <= set(engine_names())
    with pytest.raises(UserError, match=r"no engine 'moom'\n  did you mean 'moon'"):
        make_engine("moom", EngineOptions())
    with pytest.raises(UserError, match="'broken' cannot be imported"):
        make_engine("broken", EngineOptions())


def test_two_packages_with_one_name_are_an_error(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "other" / "sputnik-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sputnik\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[retable.engines]\nmoon = sputnik:Moon\n")
    monkeypatch.syspath_prepend(str(installed))
    monkeypatch.syspath_prepend(str(tmp_path / "other"))
    with pytest.raises(UserError, match="moonshot:Moon, sputnik:Moon"):
        make_engine("moon", EngineOptions())


def bench(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_an_installed_engine_runs_a_suite_by_the_real_command(
    installed: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    suite = ("bss/truncation", "--profile", "smoke", "--store", str(store))
    ran = bench(installed, "run", *suite, "--engine", "moon", "--workers", "3")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "3 at a time on moon" in ran.stdout
    records = [load_record(path.read_bytes()) for path in store.rglob("0001.json")]
    assert len(records) == 6
    assert {record.outcome.provenance.machine["place"] for record in records} == {"moon"}
    # Its records are as good as any: nothing is left to do.
    assert "Every cell is done." in bench(installed, "status", *suite).stdout


def test_an_unknown_engine_is_one_message_and_exit_code_2(tmp_path: Path) -> None:
    suite = ("bss/anchoring", "--profile", "smoke", "--store", str(tmp_path / "store"))
    ran = bench(tmp_path, "run", *suite, "--engine", "lokal")
    assert ran.returncode == 2
    assert ran.stderr == "bench: no engine 'lokal'\n  did you mean 'local'?\n"
    assert not (tmp_path / "store").exists()
