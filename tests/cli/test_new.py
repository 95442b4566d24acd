"""``bench new``: what it writes is valid as it is, and nothing that is there is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.spec.parts import KINDS, read_parts
from bench.spec.plan import load_plan


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_suite_is_found_by_its_papers_name(bench):
    assert bench("new", "suite", "mine").exit_code == 0
    assert bench("validate", "mine").output == (
        "ok  mine/table offline: 20 cells\nok  mine/table smoke: 8 cells\n"
    )
    plan = load_plan(Path("suites/mine/table.yaml"))
    assert plan.paper.id == "mine"
    assert [claim.suite for claim in plan.paper.claims] == ["table"]
    text = Path("suites/mine/table.yaml").read_text()
    assert "my-paper" not in text
    assert "my-suite" not in text


def test_a_second_suite_joins_its_paper(bench):
    bench("new", "suite", "mine")
    Path("suites/mine/paper.yaml").write_text("id: mine\ntitle: Edited\n")
    assert bench("new", "suite", "mine/more").exit_code == 0
    assert Path("suites/mine/paper.yaml").read_text() == "id: mine\ntitle: Edited\n"
    assert load_plan(Path("suites/mine/more.yaml")).paper.title == "Edited"


def test_nothing_is_overwritten(bench):
    bench("new", "suite", "mine")
    Path("suites/mine/table.yaml").write_text("mine\n")
    assert "is there already" in str(bench("new", "suite", "mine").exception)
    assert Path("suites/mine/table.yaml").read_text() == "mine\n"
    bench("new", "part", "penalty", "mine")
    Path("mine.py").write_text("mine\n")
    assert "mine.py: is there already" in str(bench("new", "part", "head", "mine").exception)
    assert Path("mine.py").read_text() == "mine\n"


@pytest.mark.parametrize("name", ["../up", "a/b/c", "", "mine/paper", "-x", "a b"])
def test_a_name_that_is_no_files_is_refused(bench, name):
    result = bench("new", "suite", "--", name)
    assert "cannot be the name" in str(result.exception)
    assert not list(Path().iterdir())


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_of_each_kind_has_its_name_in_its_file(bench, kind):
    assert bench("new", "part", kind, "of-mine").exit_code == 0
    text = Path("of_mine.py").read_text()
    (part,) = read_parts(Path("of_mine.py"))
    assert (part.kind, part.name) == (kind, "of-mine")
    assert "class OfMine(" in text
    assert "my-part" not in text
    assert "MyPart" not in text


@pytest.mark.parametrize(
    ("kind", "name", "told"),
    [
        ("penalti", "mine", "there is no kind of parts 'penalti'\n  did you mean 'penalty'?"),
        ("penalty", "bss", "there is a penalty 'bss'"),
        ("penalty", "My Part", "'My Part' cannot be a part's name"),
    ],
)
def test_what_cannot_be_written_is_said(bench, kind, name, told):
    assert told in str(bench("new", "part", kind, name).exception)
    assert not list(Path().iterdir())
