from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.cli.main import group
from bench.errors import UserError

ROWS = """method,seed,cell,state,test/top1
l2,0,a0,done,0.50
l2,1,a1,done,0.52
l2,2,a2,done,0.51
bss,0,b0,done,0.60
bss,1,b1,done,0.62
bss,2,b2,done,0.61
"""
CHANGED = ROWS.replace("0.60", "0.701").replace("0.62", "0.720").replace("0.61", "0.712")


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "before.csv").write_text(ROWS)
    (tmp_path / "after.csv").write_text(CHANGED)
    (tmp_path / "after.md").write_text("# A page\n")
    return lambda *arguments: CliRunner().invoke(group, ["diff", *map(str, arguments)])


def test_what_changed_is_listed_and_what_did_not_is_counted(run):
    result = run("before.csv", "after.md")
    assert result.exit_code == 0, result.output
    (line,) = [row for row in result.output.splitlines() if row.startswith("bss")]
    assert "+10.1" in line
    assert line.endswith("changed")
    assert "2 entries in both: 1 identical, 1 changed" in result.output
    assert "6 of 6 cells at the same place and seed have the same id" in result.output


def test_fail_on_sets_the_exit_code(run):
    assert run("before.csv", "after.csv", "--fail-on", "changed").exit_code == 1
    assert run("before.csv", "before.csv", "--fail-on", "different").exit_code == 0
    Path("near.csv").write_text(ROWS.replace("0.60", "0.601"))
    assert run("before.csv", "near.csv", "--fail-on", "changed").exit_code == 0
    assert run("before.csv", "near.csv", "--fail-on", "different").exit_code == 1


def test_json_has_every_entry(run):
    data = json.loads(run("before.csv", "after.csv", "--json").output)
    assert [(e["where"]["method"], e["kind"]) for e in data["entries"]] == [
        ("l2", "identical"),
        ("bss", "changed"),
    ]
    assert data["changed"] is True
    assert data["entries"][1]["paired"] is True


def test_a_revision_of_a_repository_can_be_named(run, tmp_path):
    def git(*arguments: str) -> None:
        own = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *own, *arguments], check=True, capture_output=True, cwd=tmp_path)

    git("init")
    git("add", "before.csv")
    git("commit", "-m", "before")
    Path("before.csv").write_text(CHANGED)
    result = run("HEAD:before.csv", "before.csv")
    assert "1 identical, 1 changed" in result.output, result.output
    with pytest.raises(UserError, match=r"git has no nope:before\.csv"):
        raise run("nope:before.csv", "before.csv").exception
    with pytest.raises(UserError, match="git has no HEAD:after"):
        raise run("HEAD:after.csv", "before.csv").exception


def test_without_git_files_can_be_named(run, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="git is not installed"):
        raise run("HEAD:before.csv", "before.csv").exception


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing.csv", "before.csv"), "there is no 'nothing.csv'"),
        ((".", "before.csv"), "a store needs --suite"),
        (("before.csv", "after.csv", "--metric", "test/topp"), "no metric 'test/topp'"),
    ],
)
def test_what_is_not_there_is_the_users_error(run, arguments, message):
    with pytest.raises(UserError, match=message):
        raise run(*arguments).exception


SHARE = """
from bench.parts import Objective, objective

@objective("share")
class Share(Objective):
    metrics = {"hits": ("%", "highest")}
    score = "hits"
    term = "misses"
"""
SUITE = """
title: T
axes:
  {backbone: test_resnet, weights: random, dataset: digits, sampling_rate: 0.5,
   method: [l2, bss], seed: 3}
plugins: [share.py]
task: {objective: share}
methods: {l2: {penalties: {l2: {}}}, bss: {penalties: {bss: {}}}}
table: {rows: [dataset], columns: method, metric: test/hits}
profiles: {offline: {}}
"""


def test_a_page_has_the_units_that_its_suite_declares(run):
    for folder in ("a", "leaderboards/a", "elsewhere/b"):
        Path(folder).mkdir(parents=True)
    Path("a/paper.yaml").write_text("id: a\ntitle: A\n")
    Path("a/share.py").write_text(SHARE)
    Path("a/table.yaml").write_text(SUITE)
    texts = [text.replace("test/top1", "test/hits") for text in (ROWS, CHANGED)]
    for folder, shown in (("leaderboards/a", "test/hits (%)"), ("elsewhere/b", "test/hits, B - A")):
        pages = [f"{folder}/table.{name}.csv" for name in ("offline", "before")]
        for page, text in zip(pages, texts, strict=True):
            Path(page).write_text(text)
        result = run(*pages, "--metric", "test/hits")
        assert shown in result.output, result.output
        line = next(line for line in result.output.splitlines() if line.startswith("bss"))
        assert ("61.00" in line) == ("%" in shown)
