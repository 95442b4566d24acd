"""The command that looks at a machine."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from bench.cli.doctor import lines_of
from bench.doctor import examine as examining
from bench.doctor.finding import Finding
from bench.doctor.registry import CHECKS
from bench.import_path import with_package


@pytest.fixture
def machine(monkeypatch):
    """Findings by check, ok where none is given; no process is started."""
    findings: dict[str, Finding] = {}

    def look(asked, check, command):
        found = findings.get(check.name, Finding("ok", "x" * 59))
        return Finding(found.mark, found.fact, found.remedy, dict.fromkeys(check.keys))

    monkeypatch.setattr(examining, "_look", look)
    return findings


def test_a_healthy_machine_is_one_screen(bench, machine):
    result = bench("doctor")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80


def test_what_fails_has_its_remedy_and_exit_code_1(bench, machine):
    machine["clock"] = Finding("fails", "an hour behind", "set it")
    result = bench("doctor")
    assert result.exit_code == 1
    assert "fails    clock       an hour behind\n                     → set it" in result.output
    assert result.output.splitlines()[-1] == "fails: clock"


def test_a_look_is_no_failure(bench, machine):
    machine["hub"] = Finding("look", "not reached", "set a proxy")
    result = bench("doctor")
    assert result.exit_code == 0
    assert "→ set a proxy" in result.output


def test_what_was_measured_is_written(bench, machine, tmp_path):
    file = tmp_path / "doctor.json"
    assert bench("doctor", "--json", file, "--device", "cpu").exit_code == 0
    told = json.loads(file.read_text())
    assert told["format"] == 1
    assert told["asked"]["device"] == "cpu"
    assert {n: tuple(c["measured"]) for n, c in told["checks"].items()} == {
        check.name: check.keys for check in CHECKS
    }


def test_a_long_fact_goes_on_under_itself():
    lines = lines_of("store", Finding("ok", "word " * 30, "never shown"), 80).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1].startswith(" " * 21 + "word")
    assert "never" not in "".join(lines)


def test_neither_help_nor_the_command_itself_imports_torch():
    script = "import bench.cli.doctor, bench.doctor.child, sys; print('torch' in sys.modules)"
    command = [sys.executable, "-P", "-c", script]
    done = subprocess.run(command, env=with_package(), capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
