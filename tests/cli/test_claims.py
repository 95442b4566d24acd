from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.cli.main import group
from bench.errors import UserError
from bench.spec.paper import load_paper

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(monkeypatch, tmp_path):
    """A function that runs ``bench`` in the checkout, with an empty store."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("RETABLE_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("COLUMNS", "160")
    return lambda *arguments: CliRunner().invoke(group, arguments)


def test_each_claim_is_one_line_with_its_verdict_or_why_there_is_none(run):
    result = run("claims", "bss")
    assert result.exit_code == 0, result.output
    lines = {line.split()[0]: line for line in result.output.splitlines() if line}
    assert "asked in profile paper only" in lines["bss-helps-in-59-of-60"]
    assert "fewer than two seeds in 10 of 10 comparisons" in lines["bss-helps-l2"]
    assert result.output.splitlines()[-1].startswith("bss, profile offline: ")
    assert all(len(line) <= 160 for line in lines.values())


def test_what_no_suite_rebuilds_is_said_and_counted(run):
    output = run("claims", "profit").output
    unbuilt = [c.id for c in load_paper(ROOT / "suites" / "profit").claims if c.not_rebuilt]
    lines = {line.split()[0]: line for line in output.splitlines() if line}
    assert unbuilt
    assert all("not rebuilt" in lines[name] for name in unbuilt)
    assert f"{len(unbuilt)} not rebuilt" in output.splitlines()[-1]


def test_verbose_says_what_a_claim_stands_for(run):
    output = run("claims", "bss", "--verbose").output
    assert "Adding BSS to L2 raises the accuracy on every data set" in output
    assert "Refuted by: On some data set" in output


def test_json_is_one_object_with_every_claim(run):
    data = json.loads(run("claims", "bss", "--profile", "smoke", "--json").output)
    assert (data["paper"], data["profile"]) == ("bss", "smoke")
    by_id = {claim["id"]: claim for claim in data["claims"]}
    assert by_id["bss-helps-l2"]["reason"] == "one seed is planned, and a verdict needs two"
    assert by_id["bss-helps-l2"]["verdict"] == "not run"
    assert len(by_id) == len(load_paper(ROOT / "suites" / "bss").claims)


def test_fail_on_sets_the_exit_code(run):
    assert run("claims", "bss", "--fail-on", "refuted,undecided").exit_code == 0
    assert run("claims", "bss", "--fail-on", "not-run").exit_code == 1
    result = run("claims", "bss", "--fail-on", "refutd")
    assert result.exit_code == 2
    assert "did you mean 'refuted'?" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("bbs",), r"there is no paper 'bbs'\n.*'bss'"),
        (("bss", "--profile", "ofline"), r"has a profile 'ofline'\n.*'offline'"),
    ],
)
def test_what_is_not_there_is_the_users_error(run, arguments, message):
    result = run("claims", *arguments)
    assert isinstance(result.exception, UserError)
    with pytest.raises(UserError, match=message):
        raise result.exception


def test_a_papers_folder_can_be_named_and_need_not_have_claims(run, tmp_path):
    (tmp_path / "paper.yaml").write_text("id: mine\ntitle: Mine\n")
    result = run("claims", str(tmp_path))
    assert result.exit_code == 0
    assert "mine has no claims" in result.output


def test_a_claim_about_a_suite_that_is_not_there_is_an_error(run, tmp_path):
    (tmp_path / "paper.yaml").write_text(
        "id: mine\ntitle: Mine\nclaims:\n"
        "  - {id: a, text: A., source: s, suite: tabel, expect: less, number: 1, refuted_by: x}\n"
    )
    result = run("claims", str(tmp_path))
    assert isinstance(result.exception, UserError)
    assert "tabel.yaml" in str(result.exception)


def test_a_report_writes_the_facts_of_its_page_and_the_index(run, tmp_path):
    folder = tmp_path / "boards"
    result = run("report", "bss/table2", "--to", str(folder))
    assert result.exit_code == 1  # no cell is done
    facts = json.loads((folder / "bss" / "table2.offline.json").read_text())
    assert facts["claims"] == {"supported": 0, "refuted": 0, "undecided": 0, "not run": 13}
    assert facts["last"] is None
    index = (folder / "README.md").read_text()
    assert "(<bss/table2.offline.md>)" in index
    (folder / "README.md").write_text("# Mine\n")
    assert "is not ours and stays" in run("report", "bss/table2", "--to", str(folder)).output
    assert (folder / "README.md").read_text() == "# Mine\n"
