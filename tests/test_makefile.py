"""The Makefile's own errands; what it installs is not tried here."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Says what it was called with, as each tool that make calls.
TOOL = '#!/bin/sh\nprintf "%s|" "$VIRTUAL_ENV" "$@" >> "$TOLD"\necho >> "$TOLD"\n'


@pytest.fixture
def make(tmp_path, monkeypatch):
    """A function that runs make in a folder whose path has a space, with tools that only tell."""
    folder = tmp_path / "my papers"
    tools = folder / ".venv" / "bin"
    tools.mkdir(parents=True)
    for name in ("uv", "bench"):
        (tools / name).write_text(TOOL)
        (tools / name).chmod(0o755)
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    told = tmp_path / "told"
    monkeypatch.setenv("TOLD", str(told))
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "VIRTUAL_ENV")}

    def run(*arguments: str) -> list[list[str]]:
        subprocess.run(["make", *arguments], cwd=folder, check=True, env=environment)
        return [line.split("|")[:-1] for line in told.read_text().splitlines()]

    return run


def test_make_works_in_a_folder_whose_path_has_a_space(make, tmp_path):
    (install,) = make("install")
    assert install[0] == str(tmp_path / "my papers" / ".venv")
    assert install[-2:] == ["--editable", ".[dev]"]


def suites_of(called: list[list[str]], command: str) -> set[str]:
    """Return what the one call of a command names, which comes before its options."""
    ((_, _, *given),) = [call for call in called if call[1] == command]
    return set(given[: given.index("--profile")])


@pytest.mark.parametrize("paper", ["bss", "fast", "modelpatch", "profit", "transferred"])
def test_a_papers_target_runs_every_suite_that_the_profile_has(make, paper):
    """All but those that choose settings, which have a target of their own."""
    _, *called = make(f"reproduce-{paper}", "PROFILE=smoke")
    folder = ROOT / "suites" / paper
    known = {f"{paper}/{file.stem}" for file in folder.glob("*.yaml")}
    others = {f"{paper}/{name}" for name in ("paper", "reported")}
    expected = {name for name in known - others if "settings" not in name}
    assert suites_of(called, "run") == suites_of(called, "report") == expected
    assert suites_of(called, "claims") == {paper}


def test_the_papers_own_profile_has_no_questions_of_ours(make):
    _, *called = make("reproduce-modelpatch", "PROFILE=paper")
    assert "modelpatch/table1" in suites_of(called, "run")
    assert "modelpatch/toy" not in suites_of(called, "run")


def test_bsss_figures_are_of_the_papers_profile_and_its_strength_is_not(make):
    _, *called = make("reproduce-bss", "PROFILE=paper")
    assert {"bss/spectra", "bss/truncation"} < suites_of(called, "run")
    assert "bss/strength" not in suites_of(called, "run")


def test_another_sources_profile_has_the_suites_that_know_it(make):
    _, *called = make("reproduce-bss", "PROFILE=tllib")
    suites = (ROOT / "suites" / "bss").glob("*.yaml")
    expected = {f"bss/{file.stem}" for file in suites if "\n  tllib:" in file.read_text()}
    assert "bss/table2" in expected
    assert suites_of(called, "run") == suites_of(called, "report") == expected


def test_a_store_may_have_a_space(make):
    _, *called = make("reproduce-bss", "STORE=my results", "PROFILE=smoke")
    assert [call[1] for call in called] == ["run", "report", "claims"]
    for call in called:
        assert call[call.index("--store") + 1] == "my results"
        assert call[call.index("--profile") + 1] == "smoke"


@pytest.mark.parametrize("paper", ["bss", "fast", "modelpatch", "profit", "transferred"])
def test_how_cells_are_run_is_passed_to_run_alone_and_only_if_given(make, paper):
    given = {"SLOTS": "3", "TIME_LIMIT": "7200", "RETRIES": "0"}
    flags = ["--slots-per-gpu", "3", "--time-limit", "7200", "--retries", "0"]
    _, *called = make(f"reproduce-{paper}", *(f"{name}={each}" for name, each in given.items()))
    for call in called:
        assert [word for word in call if word in flags[::2]] == flags[::2] * (call[1] == "run")
    (run,) = [call for call in called if call[1] == "run"]
    assert run[-6:] == flags


def test_without_them_the_commands_own_defaults_hold(make):
    _, *called = make("reproduce-bss")
    assert not {"--slots-per-gpu", "--time-limit", "--retries"} & {w for c in called for w in c}


def test_help_lists_what_may_be_given(capfd):
    subprocess.run(["make", "help"], cwd=ROOT, check=True)
    listed = capfd.readouterr().out
    for name in ("SLOTS=", "TIME_LIMIT=", "RETRIES=", "reproduce-bss"):
        assert name in listed


def test_smoke_is_one_command_over_every_suite(make):
    _, *called = make("smoke", "WORKERS=2")
    assert [call[1:] for call in called] == [["smoke", "--workers", "2"]]


def test_the_published_site_is_that_of_the_bundles_and_of_no_earlier_store(make, tmp_path):
    results = tmp_path / "my papers" / ".published" / "results" / "old"
    results.mkdir(parents=True)
    _, *called = make("published-site", "CELLS=none")
    assert not results.exists()
    assert [call[1] for call in called] == ["import", "site"]
    for call in called:
        assert call[call.index("--store") + 1] == ".published/results"
    assert called[-1][-5:] == ["--to", ".published/site", "--cells", "none", "--as-recorded"]
