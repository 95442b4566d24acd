"""The page's account of a search is what the records say, and nothing else."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from bench.records.record import CHOSEN, Curve, Outcome, Provenance, Record
from bench.report.choices import choices
from bench.report.page import build_page
from bench.report.results import Results
from bench.report.search import ends, search_section, search_tables
from bench.spec.cell import CHOICE
from bench.spec.plan import load_plan
from bench.spec.tuning import CHOSEN as BY_SEARCH
from bench.spec.work import Choose

SUITE = """
title: Tuned
axes:
  backbone: test_resnet
  weights: random
  dataset: glyphs
  sampling_rate: [0.5, 1.0]
  method: [plain, l2]
  seed: 2
recipe: {steps: 10, optimizer: {sgd: {lr: 0.5}}}
search:
  space: {recipe.optimizer.sgd.lr: [0.01, 0.1, 0.2]}
  per: [method]
  within: 1.0
  recipe: {validation: 0.25}
methods:
  plain: {}
  l2: {penalties: {l2: {weight: 1e-3}}}
labels: {method: {l2: L2, plain: Plain}}
profiles:
  offline: {}
"""


class Study:
    """A suite's results; each choice is of the candidate that is given for its method."""

    def __init__(self, folder: Path, text: str = SUITE, **chosen: int) -> None:
        (folder / "paper.yaml").write_text("id: test\ntitle: A test\n")
        (folder / "table.yaml").write_text(textwrap.dedent(text).lstrip())
        self.plan = load_plan(folder / "table.yaml")
        self.records: dict[str, Record] = {}
        for planned in self.plan.shown:
            number = chosen[str(planned.place["method"])]
            choice = self.plan.unique()[planned.cell.parents[CHOICE].id]
            self.choose(choice, number)
            self.train(planned.cell, number)

    def put(self, cell, candidate=None, metrics=None, curves=None, parents=None) -> None:
        made = Provenance(parents=parents or {})
        outcome = Outcome("done", metrics=metrics or {}, curves=curves or {}, provenance=made)
        self.records[cell.id] = Record(
            cell.to_json(candidate),
            1,
            "2026-01-01T00:00:00Z",
            "2026-01-01T00:00:12Z",
            12.5,
            outcome,
        )

    def choose(self, cell, number: int) -> None:
        at = (0.0, 1.0, 2.0)
        means, lost = (0.81, 0.845, float("nan")), (0.0, 0.0, 6.0)
        metrics = {CHOSEN: float(number), "choice/score": means[number], "choice/tied": 2.0}
        curves = {"choice/score": Curve(at, means, "candidate"),
                  "choice/diverged": Curve(at, lost, "candidate")}  # fmt: skip
        self.put(cell, None, metrics, curves)

    def train(self, cell, number: int) -> None:
        parents = {CHOICE: {"id": "", "artifact": CHOICE, "candidate": number}}
        self.put(cell, number, {"test/top1": 0.5 + cell.seed / 100}, parents=parents)

    @property
    def results(self) -> Results:
        return Results(self.plan, self.records, {})


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path, plain=0, l2=1)


def test_each_method_has_its_space_budget_choice_ties_and_end(study: Study) -> None:
    table, every = search_tables(study.results)
    plain, l2 = (dict(zip(table.header, row, strict=True)) for row in table.rows)
    assert plain["method"] == "Plain"
    assert plain["tried"] == "optimizer sgd lr: 0.01, 0.1, 0.2"
    # 3 candidates at 2 sampling rates, of 3 seeds, 10 steps each.
    assert plain["trials"] == "18 = 3 × 2 places × 3 seeds"
    assert plain["gradients"] == "180"
    assert (plain["chosen"], l2["chosen"]) == ("optimizer sgd lr 0.01", "optimizer sgd lr 0.1")
    assert (plain["score"], l2["score"]) == ("81.00%", "84.50%")
    assert plain["as good"] == "2 of 3"
    assert plain["at an end of what was tried"] == "smallest optimizer sgd lr"
    assert l2["at an end of what was tried"] == "no"
    assert [row[-2:] for row in every.rows][:3] == [["81.00%", ""], ["84.50%", ""], ["–", "6"]]
    assert "within 1 point of" in table.caption
    assert "**tuned alike**" in table.caption


def test_where_trials_are_not_everywhere_it_is_told(tmp_path: Path) -> None:
    text = SUITE.replace("per: [method]", "per: [sampling_rate]\n  at: {method: l2}")
    study = Study(tmp_path, text, plain=0, l2=0)
    (caption, *_) = (table.caption for table in search_tables(study.results))
    assert "They are at method L2 alone." in caption
    assert "**not equally tuned**" in caption
    assert "alone." not in search_tables(Study(tmp_path, plain=0, l2=0).results)[0].caption


def test_the_page_has_it_and_the_setting_says_that_it_was_chosen(study: Study) -> None:
    page = build_page(study.results).markdown
    assert search_section(study.results) in page
    assert f"| `optimizer.sgd.lr` | {BY_SEARCH} |" in " ".join(page.split())
    assert "Behind the table: trial" in page
    assert "Not by this choice" not in page


def test_a_suite_without_a_search_has_no_such_section(tmp_path: Path) -> None:
    text = SUITE[: SUITE.index("search:")] + SUITE[SUITE.index("methods:") :]
    (tmp_path / "paper.yaml").write_text("id: test\ntitle: A test\n")
    (tmp_path / "table.yaml").write_text(text.lstrip())
    results = Results(load_plan(tmp_path / "table.yaml"), {}, {})
    assert search_section(results) == ""


def test_a_choice_that_is_not_done_is_none(study: Study) -> None:
    results = study.results
    gone = {i: r for i, r in study.records.items() if r.cell["kind"] != "choice"}
    table, *rest = search_tables(replace(results, records=gone))
    assert not rest
    assert {row[-4] for row in table.rows} == {"not done"}


def test_a_number_by_other_settings_than_the_page_says_is_told(study: Study) -> None:
    planned = study.plan.shown[0]
    study.train(planned.cell, 1)
    text = search_section(study.results)
    assert "**Not by this choice**: 1 cell " in text
    assert planned.cell.id in text


def test_a_choice_that_its_trials_records_do_not_make_is_told(study: Study) -> None:
    (choice,) = [c for c in choices(study.results) if c.methods == ("l2",)]
    for number, score in enumerate((0.81, 0.845, None)):
        for role in choice.work.roles(number):
            trial = study.plan.unique()[choice.cell.parents[role].id]
            study.put(trial, metrics={} if score is None else {"validation/top1": score})
    assert "Not as its trials say" not in search_section(study.results)
    # Within a point of the best, and the first.
    for role in choice.work.roles(0):
        study.put(study.plan.unique()[choice.cell.parents[role].id],
                  metrics={"validation/top1": 0.84})  # fmt: skip
    assert f"**Not as its trials say**: the choice of {choice.cell.id}." in search_section(
        study.results
    )


def test_methods_that_share_a_choice_are_not_said_to_be_tuned_alike(tmp_path: Path) -> None:
    text = SUITE.replace("per: [method]", "per: [sampling_rate]\n  at: {method: l2}")
    study = Study(tmp_path, text, plain=1, l2=1)
    (table, *_) = search_tables(study.results)
    assert "**not equally tuned**" in table.caption
    assert "**tuned alike**" not in table.caption


def test_methods_whose_trials_cost_more_are_not_said_to_be_tuned_alike(tmp_path: Path) -> None:
    text = SUITE.replace("plain: {}", "plain: {update: {profit: {}}}")
    (table, *_) = search_tables(Study(tmp_path, text, plain=1, l2=1).results)
    assert "**tuned alike**" not in table.caption
    assert "do not all take as many gradients" in table.caption


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("plain: {}", "plain: {recipe: {batch_size: 16}}",
         "as many trials, which do not all take as many rows: their batches differ"),
        ("plain: {}", "plain: {recipe: {steps: 40}}", "**unequally many gradients**"),
        ("plain: {}", "plain: {recipe: {batch_size: 16}}", "**unequally many rows a gradient**"),
    ],
)  # fmt: skip
def test_methods_that_are_trained_by_more_are_not_said_to_be_tuned_alike(
    tmp_path: Path, old: str, new: str, why: str
) -> None:
    trials = "validation: 0.25, steps: 10" + (", batch_size: 48" if "a gradient" in why else "")
    text = SUITE.replace(old, new).replace("validation: 0.25", trials)
    (table, *_) = search_tables(Study(tmp_path, text, plain=1, l2=1).results)
    assert why in table.caption.replace("by 18 trials", "by as many trials")
    assert "**tuned alike**" not in table.caption


def test_places_may_be_trained_for_other_numbers_of_steps(tmp_path: Path) -> None:
    """Methods are compared at one place."""
    when = "when: [{sampling_rate: 0.5, recipe: {steps: 40}}]\nlabels:"
    text = SUITE.replace("labels:", when).replace("validation: 0.25", "validation: 0.25, steps: 10")
    (table, *_) = search_tables(Study(tmp_path, text, plain=1, l2=1).results)
    assert "**tuned alike**" in table.caption


def test_trials_are_those_of_the_plan(study: Study) -> None:
    for choice in choices(study.results):
        assert isinstance(choice.work, Choose)
        assert choice.tuning.trials == len(choice.cell.parents) == 18


def test_words_have_no_ends() -> None:
    words = [{"rate": "low"}, {"rate": "high"}]
    assert ends(words, 0) == ""
    pair = [{"a": 1, "b": 9}, {"a": 2, "b": 5}, {"a": 3, "b": 7}]
    assert ends(pair, 0) == "smallest a, largest b"
    assert ends(pair, 1) == "smallest b"


LOW = "{recipe.optimizer.sgd.lr: {of: recipe.optimizer.sgd.lr, times: 0.5}}"


def test_a_method_that_follows_another_is_told_and_is_not_said_to_be_tuned(tmp_path: Path) -> None:
    text = SUITE.replace("method: [plain, l2]", "method: [plain, low, l2]")
    text = text.replace("  plain: {}", "  plain: {}\n  low: {}")
    text = text.replace(
        "per: [method]",
        f"methods: {{low: {LOW}}}\n  follows: {{low: plain}}\n  per: [method]",
    )
    study = Study(tmp_path, text, plain=0, low=0, l2=1)
    (table, *_) = search_tables(study.results)
    assert "they are **not tuned** for themselves" in table.caption
    assert "By that of Plain: low.\n\n" in table.caption
    assert "Every other method's settings are chosen by 18 trials" in table.caption
    # A row for each choice, under the method that it is made for.
    assert [row[0] for row in table.rows] == ["Plain", "L2"]


def test_one_method_alone_is_not_said_to_be_tuned_as_others_are(tmp_path: Path) -> None:
    text = SUITE.replace("method: [plain, l2]", "method: plain").replace("l2: L2, ", "")
    (table, *_) = search_tables(Study(tmp_path, text, plain=1).results)
    assert "tuned alike" not in table.caption
    assert "levels may be compared" not in table.caption


def test_where_all_follow_one_none_is_said_to_be_tuned_alike(tmp_path: Path) -> None:
    text = SUITE.replace("  plain: {}", "  plain: {update: {profit: {}}}").replace(
        "per: [method]",
        f"methods: {{l2: {LOW}}}\n  follows: {{l2: plain}}\n  per: [method]",
    )
    (table, *_) = search_tables(Study(tmp_path, text, plain=1, l2=1).results)
    assert "By that of Plain: L2.\n\n" in table.caption
    assert "tuned alike" not in table.caption
