from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import SpecError
from bench.spec import find
from bench.spec.find import find_suite, find_suites, known_suites, looking_in, paper_called

PAPER = "id: {0}\ntitle: {0}\n"


def place(folder: Path, *suites: str) -> Path:
    """Lay empty suites below a folder, each beside a paper."""
    for name in suites:
        file = folder / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        (file.parent / "paper.yaml").write_text(PAPER.format(file.parent.name))
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder, without suites; those that come along are elsewhere."""
    package = tmp_path / "site-packages" / "bench"
    place(package / "suites", "bss/table2", "bss/tuned", "fast/optimizers")
    monkeypatch.setattr(find, "_PACKAGE", package)
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("RETABLE_SUITES", raising=False)
    return folder


def test_without_suites_of_ones_own_those_of_the_package_are_known(here):
    package = here.parent / "site-packages" / "bench" / "suites"
    assert find_suite("bss/table2") == package / "bss" / "table2.yaml"
    assert paper_called("bss") == package / "bss"
    assert list(known_suites()) == ["bss/table2", "bss/tuned", "fast/optimizers"]
    assert len(find_suites([])) == 3


def test_folders_are_asked_in_turn_here_then_named_then_the_package(here, monkeypatch):
    first = place(here / "suites", "mine/a", "both/x")
    second = place(here.parent / "second", "both/x", "theirs/b", "fast/slow")
    third = place(here.parent / "third", "both/x", "last/c")
    monkeypatch.setenv("RETABLE_SUITES", f"{second}:{third}")
    assert find_suite("both/x") == first / "both" / "x.yaml"
    assert find_suite("theirs/b") == second / "theirs" / "b.yaml"
    assert find_suite("last/c") == third / "last" / "c.yaml"
    assert find_suite("bss/tuned").parts[-4:] == ("bench", "suites", "bss", "tuned.yaml")
    # What comes along is not meant where there are suites of one's own.
    assert {file.parent.name for file in find_suites([])} == {
        "mine", "both", "theirs", "fast", "last",
    }  # fmt: skip


def test_a_paper_hides_one_of_its_name_in_a_later_folder_whole(here):
    place(here / "suites", "bss/other")
    assert [name for name in known_suites() if name.startswith("bss/")] == ["bss/other"]
    assert paper_called("bss") == here / "suites" / "bss"
    with pytest.raises(SpecError, match=r"no suite 'bss/table2'"):
        find_suite("bss/table2")


def test_a_folder_that_is_asked_for_takes_the_place_of_the_variables(here, monkeypatch):
    monkeypatch.setenv("RETABLE_SUITES", str(place(here.parent / "variable", "mine/a")))
    with looking_in([place(here.parent / "option", "mine/b")]):
        assert find_suite("mine/b").name == "b.yaml"
        with pytest.raises(SpecError, match="no suite 'mine/a'"):
            find_suite("mine/a")
    assert find_suite("mine/a").name == "a.yaml"


def test_a_folder_that_is_not_there_is_said_with_the_variable_that_names_it(here, monkeypatch):
    monkeypatch.setenv("RETABLE_SUITES", "nowhere")
    with pytest.raises(SpecError, match=r"nowhere: there is no such folder.*RETABLE_SUITES"):
        find_suite("bss/table2")


def test_a_folder_beside_an_installed_package_is_not_taken_for_its_suites(here, monkeypatch):
    """Another project may have put one into site-packages."""
    package = here.parent / "bare" / "bench"
    place(package.parent / "suites", "bss/table2")
    monkeypatch.setattr(find, "_PACKAGE", package)
    with pytest.raises(SpecError, match="there is no folder 'suites' here"):
        find_suite("bss/table2")
    (package.parent / "pyproject.toml").touch()
    assert find_suite("bss/table2").parts[-4:] == ("bare", "suites", "bss", "table2.yaml")
