"""``bench list``: what a suite may name, found by any word of its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.cli.listing import LISTINGS
from bench.errors import SpecError
from bench.spec.backbones import is_backbone
from bench.spec.catalogue import names
from bench.spec.find import find_suite
from bench.spec.parts import built_in_parts

ROOT = Path(__file__).parents[2]


def test_every_suite_is_listed_by_a_name_that_finds_it(monkeypatch):
    monkeypatch.chdir(ROOT)
    listed = LISTINGS["suites"].matching([])
    files = {find_suite(name) for name, _, _ in listed}
    papers = ("paper.yaml", "reported.yaml")
    assert files == {f for f in ROOT.glob("suites/*/*.yaml") if f.name not in papers}
    (row,) = LISTINGS["suites"].matching(["bss/table2"])
    assert {"smoke", "offline", "paper"} <= set(row[1].split(", "))
    assert row[2] == "BSS Table 2's comparison on the offline track"


def test_a_suite_that_cannot_be_read_is_said_and_hides_no_other(laid):
    (laid / "suites/laid/broken.yaml").write_text("titel: x\n")
    listed = {row[0]: row[1:] for row in LISTINGS["suites"].matching([])}
    assert listed["laid/broken"] == ("", "cannot be read: unknown key")
    assert listed["laid/table"] == ("offline", "Laid")


def test_datasets_are_the_catalogues():
    listed = LISTINGS["datasets"].matching([])
    assert tuple(row[0] for row in listed) == names()
    (digits,) = [row for row in listed if row[0] == "digits"]
    assert digits[1:4] == ("digits", "images", "10")


def test_backbones_are_ones_that_a_suite_may_name():
    listed = {row[0]: row for row in LISTINGS["backbones"].matching([])}
    assert len(listed) > 1000
    assert "resnet50.tv_in1k" in listed["resnet50"][3].split()
    assert all(is_backbone(tag) for tag in listed["resnet50"][3].split())
    assert listed["resnet50"][2] == "random, timm"
    assert listed["test_resnet"][2].startswith("random, shipped:fractals, shipped:glyphs-source")
    assert listed["mlp"][1] == "retable"


def test_parts_have_their_parameters_and_defaults():
    listed = LISTINGS["parts"].matching([])
    assert {(row[1], row[0]) for row in listed} == set(built_in_parts())
    (bss,) = [row for row in listed if row[:2] == ("bss", "penalty")]
    assert "eta: 0.001" in bss[2]
    assert all(row[3] for row in listed)


def test_metrics_have_unit_and_side():
    listed = LISTINGS["metrics"].matching(["classification"])
    assert ("test/top1", "%", "highest", "objective classification") in listed


def test_words_stand_in_one_line_in_any_case():
    (found,) = LISTINGS["parts"].matching(["PENALTY", "l2-sp"])
    assert found[:2] == ("l2-sp", "penalty")
    with pytest.raises(SpecError, match=r"nothing here matches 'l2-ps'\n  did you mean 'l2-sp'"):
        LISTINGS["parts"].matching(["l2-ps"])


@pytest.mark.parametrize("kind", LISTINGS)
def test_a_list_fits_the_terminal(kind, bench, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "80")
    result = bench("list", kind)
    assert result.exit_code == 0
    assert max(map(len, result.output.splitlines())) <= 80


def test_alone_it_counts_what_there_is(bench, monkeypatch):
    monkeypatch.chdir(ROOT)
    counts = dict(line.split() for line in bench("list").output.splitlines()[2:])
    assert counts["datasets"] == f"{len(names()):,}"
    assert counts["parts"] == f"{len(built_in_parts()):,}"
    assert counts.keys() == LISTINGS.keys()


def test_a_kind_or_word_that_is_none_has_the_nearest_as_remedy(bench):
    said = str(bench("list", "backbons").exception)
    assert said == "there is no list of 'backbons'\n  did you mean 'backbones'?"
    # The kind of a part is in the second column.
    for words, near in (
        (["parts", "penlty"], "'penalty'"),
        (["backbones", "resnet5o"], "'resnet50'"),
    ):
        assert f"did you mean {near}?" in str(bench("list", *words).exception)


def test_of_many_names_none_of_which_is_near_the_list_is_named(bench):
    for words, kind in (["plan", "qqqq"], "suites"), (["list", "datasets", "qqqq"], "KIND"):
        assert str(bench(*words).exception).endswith(f"`bench list {kind}` lists them")
