from __future__ import annotations

import json
import shutil
from pathlib import Path

import click
import jsonschema
import pytest
from click.testing import CliRunner

from bench.cli.main import COMMANDS, group
from bench.errors import UserError
from bench.spec.find import find_suite, find_suites, list_suites
from bench.spec.loader import load_yaml

ROOT = Path(__file__).parents[2]

SUITE_OF_IMAGES = """
title: Mine
datasets: {mine: {folder: ../images}}
axes:
  {backbone: test_resnet, weights: random, dataset: mine, sampling_rate: 1, method: plain, seed: 1}
methods: {plain: {}}
profiles: {offline: {}}
"""


@pytest.fixture
def run(monkeypatch, tmp_path):
    """A function that runs ``bench`` in the checkout, with an empty store."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("RETABLE_STORE", str(tmp_path / "store"))
    return lambda *arguments: CliRunner().invoke(group, arguments)


def test_every_command_has_help_with_an_example(run):
    listed = run("--help").output
    for name in COMMANDS:
        assert name in listed
        command = group.get_command(click.Context(group), name)
        for words in [[name], *([name, own] for own in getattr(command, "commands", ()))]:
            result = run(*words, "--help")
            assert result.exit_code == 0
            _, example = result.output.split("Example:")
            assert f"bench {' '.join(words)}" in example


def test_every_shipped_suite_is_valid_in_every_profile(run):
    result = run("validate")
    assert result.exit_code == 0, result.output
    for line in ("bss/table2 paper: 700 cells", "sources/pretrain offline: 2 cells"):
        assert line in result.output


def test_validate_names_each_problem_and_goes_on(run, tmp_path):
    (tmp_path / "paper.yaml").write_text("id: x\ntitle: X\n")
    (tmp_path / "a.yaml").write_text("titel: x\n")
    (tmp_path / "b.yaml").write_text("title: [1\n")
    result = run("validate", str(tmp_path))
    assert result.exit_code == 2
    assert "a.yaml:1: titel: unknown key" in result.output
    assert "b.yaml" in result.output


def test_validate_compares_the_reported_numbers_with_the_cells(run, tmp_path):
    folder = tmp_path / "bss"
    shutil.copytree(ROOT / "suites" / "bss", folder)
    assert run("validate", str(folder)).exit_code == 0
    reported = folder / "reported.yaml"
    reported.write_text(reported.read_text().replace("cub-200-2011", "cub-200-2012", 1))
    result = run("validate", str(folder))
    assert result.exit_code == 2
    assert "reported.yaml: no cell of table2 (paper) is dataset: cub-200-2012" in result.output


def test_plan_lists_cells_as_json_parents_first(run):
    result = run("plan", "bss/table2", "--profile", "paper", "--json")
    rows = [json.loads(line) for line in result.output.splitlines()]
    assert len(rows) == 5 * 4 * 6 * 5 + 5 * 4 * 5
    assert {row["state"] for row in rows} == {"missing"}
    seen: set[str] = set()
    for row in rows:
        assert {parent["id"] for parent in row["parents"].values()} <= seen
        seen.add(row["id"])


def test_plan_counts_states_in_a_table(run):
    output = run("plan", "bss/table2", "--profile", "paper").output
    assert "level 0: 500, level 1: 200" in output
    assert output.splitlines()[-3].split() == ["all", "cells", "700", "700"]


def test_plan_names_test_images_that_are_trained_on(run, tmp_path, monkeypatch):
    monkeypatch.setenv("RETABLE_CACHE", str(tmp_path / "cache"))
    for file in ("train/a/1.png", "train/b/2.png", "test/a/3.png", "test/b/4.png"):
        path = tmp_path / "images" / file
        path.parent.mkdir(parents=True)
        path.write_text(path.name)
    suite = tmp_path / "mine" / "table.yaml"
    suite.parent.mkdir()
    (suite.parent / "paper.yaml").write_text("id: mine\ntitle: Mine\n")
    suite.write_text(SUITE_OF_IMAGES)
    assert "training split" not in run("plan", str(suite)).output
    (tmp_path / "images/test/b/5.png").write_text("1.png")
    lines = run("plan", str(suite)).output.splitlines()
    assert lines[-2] == "1 test image of mine is in its training split too:"
    assert lines[-1] == f"  {tmp_path}/images/test/b/5.png is {tmp_path}/images/train/a/1.png"


def test_the_schema_accepts_every_shipped_suite(run):
    schema = json.loads(run("schema").output)
    jsonschema.Draft202012Validator.check_schema(schema)
    # A validator of its own for each suite would check the schema anew each time.
    validator = jsonschema.Draft202012Validator(schema)
    for file in list_suites(ROOT / "suites"):
        validator.validate(load_yaml(file).data)


@pytest.mark.parametrize(
    "wrong",
    [
        {"titel": "x"},
        {"recipe": {"stepz": 1}},
        {"methods": {"a": {"penalties": {"bss": {"etta": 1}}}}},
        {"methods": {"a": {"optimizer": {"sgd": {"lr": 1}}}}},
        {"methods": {"a": {"recipe": {"stepz": 1}}}},
        {"recipe": {"measurements": {"channel-attention": {"batchs": 1}}}},
        {"recipe": {"head_init": {"normal": {"std": 1}, "zeros": {}}}},
        {"task": {"objectiv": "classification"}},
        {"tasks": {"a": {"long_tail": 3}}},
        {"tasks": {"a": {"transforms": {"block-shuffle": {"block": 0}}}}},
        {"networks": {"small": {"mlp": {"widths": [0]}}}},
        {"measure": {"part": "distance", "roles": {"first": {"stag": "x"}}}},
        {"datasets": {"mine": {"file": "x", "modality": "sounds"}}},
        {"when": [{"dataset": "x", "measure": {"parts": "distance"}}]},
        {"table": {"unit": "%"}},
        {"figures": [{"title": "x", "panels": [{"curve": "x", "unit": "%"}]}]},
        {"profiles": {"p": {"recipe": {"optimizer": {"sgd": {"lr": "fast"}}}}}},
        {"when": [{"dataset": "x", "recipe": {"stepz": 1}}]},
    ],
)
def test_the_schema_refuses_what_validate_refuses(run, wrong):
    schema = json.loads(run("schema").output)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema)


def test_suites_are_found_by_path_paper_and_name(monkeypatch):
    monkeypatch.chdir(ROOT)
    file = ROOT / "suites" / "bss" / "table2.yaml"
    for name in ("suites/bss/table2.yaml", str(file), "bss/table2"):
        assert find_suite(name) == file
    assert find_suite("strength") == file.with_name("strength.yaml")
    with pytest.raises(UserError, match="'table2' stands for bss/table2, modelpatch/table2"):
        find_suite("table2")
    assert file in find_suites(["bss"])
    assert file in find_suites([])
    with pytest.raises(UserError, match=r"did you mean 'bss/table2'\?"):
        find_suite("bss/tabel2")
    with pytest.raises(UserError, match="there is no such file"):
        find_suite("suites/bss/tabel2.yaml")


def test_a_suite_of_ones_own_is_on_the_site_without_being_named(monkeypatch, tmp_path):
    from bench.cli import site

    monkeypatch.chdir(tmp_path)
    for name in ("flowers", "empty"):
        (tmp_path / name).mkdir()
    suite = ROOT / "suites" / "sources" / "transfer.yaml"
    (tmp_path / "flowers" / "paper.yaml").write_text("id: flowers\ntitle: F\n")
    (tmp_path / "flowers" / "table.yaml").write_text(suite.read_text())
    begun = []
    monkeypatch.setattr("bench.report.site.track.Track.begun", property(begun.append))
    with pytest.raises(UserError, match="no suite has a record"):
        site._tracks((), ("smoke",), tmp_path / "store")
    found = {(track.plan.paper.id, track.plan.suite.name) for track in begun}
    assert ("flowers", "table") in found
    assert ("sources", "transfer") in found


def test_the_bad_names_are_refused_by_the_commands_that_write_files(run, tmp_path):
    (tmp_path / "paper.yaml").write_text("id: ../../x\ntitle: X\n")
    suite = tmp_path / "a.yaml"
    suite.write_text((ROOT / "suites" / "sources" / "pretrain.yaml").read_text())
    for command in (["report"], ["export", "--to", str(tmp_path / "w")], ["run"]):
        error = run(command[0], str(suite), *command[1:]).exception
        assert "paper.yaml:1: id: names files" in str(error)


def test_what_would_fail_is_told_before_the_first_cell_and_all_at_once(laid, bench):
    text = (laid / "suites/laid/table.yaml").read_text()
    text = text.replace("[glyphs, digits]", "[glyphs, mine, yours]")
    text += "datasets:\n  mine: {folder: gone}\n  yours: {folder: away}\n"
    (laid / "suites/laid/table.yaml").write_text(text)
    # An engine of elsewhere may have other backbones; data are looked at all the same.
    told = str(bench("run", "laid/table", "--store", "fresh", "--engine", "inline").exception)
    assert told.startswith("2 problems before the first cell, and nothing is begun\n")
    assert str(laid / "suites/laid/gone") in told
    assert str(laid / "suites/laid/away") in told
    assert told.endswith("--no-check")
    assert not Path("fresh").exists()
    # What is done is not looked at.
    assert bench("run", "laid/table", "--only", "dataset=glyphs").exit_code == 0
