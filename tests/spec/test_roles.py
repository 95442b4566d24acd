"""Open roles, and metrics by the names in a parameter: what a suite of measurements may say."""

from __future__ import annotations

import pytest

from bench.errors import SpecError
from bench.spec.parts import named_metrics, read_parts

PART = '''
from bench.parts import Measurement, measurement


@measurement("mine")
class Mine(Measurement):
    """Mine."""
    roles = ("first", "judge*")
    data = "none"
    metrics = {"mine": ("px", "lowest"), "top1/{modules}": ("%", "highest")}
    curves = {"top1/{modules}": "module"}
    modules: dict[str, str] = {"stem": "conv1"}
'''
BASE = """
title: Of any number
plugins: [mine.py]
axes:
  backbone: test_resnet
  dataset: [glyphs, digits]
  method: plain
  seed: 2
recipe: {steps: 20, optimizer: {sgd: {lr: 0.1}}}
stages: {target: {weights: random}}
measure:
  part: {mine: {modules: {tail: layer4}}}
  roles:
    judge2: {stage: target, seed_plus: 4}
    first: {stage: target}
    judge1: {stage: target, seed_plus: 2}
methods: {plain: {}}
table: {rows: [dataset], columns: method, metric: mine}
profiles: {offline: {}}
"""


@pytest.fixture
def mine(plan, tmp_path):
    """A function that loads the suite with some of its text replaced."""
    (tmp_path / "mine.py").write_text(PART)

    def load(*pairs: tuple[str, str], end: str = ""):
        text = BASE
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new)
        return plan(text + end)

    return load


def roles(planned) -> list[str]:
    return list(planned.cell.work.starts)


def test_an_open_role_has_any_number_of_networks_in_their_order(mine):
    found = mine()
    for planned in found.shown:
        assert roles(planned) == ["first", "judge1", "judge2"]
        seeds = {r: found.unique()[p.id].seed for r, p in planned.cell.parents.items()}
        assert seeds == {r: planned.seed + 2 * i for i, r in enumerate(roles(planned))}


def test_the_order_in_which_roles_are_written_changes_no_cell(mine):
    lines = [line for line in BASE.splitlines(keepends=True) if line.startswith("    judge")]
    moved = mine(("".join(lines[:1]), ""), (lines[1], lines[1] + lines[0]))
    assert {p.cell.id for p in moved.shown} == {p.cell.id for p in mine().shown}


def test_an_open_role_may_have_no_network_and_ten(mine):
    judges = [line for line in BASE.splitlines(keepends=True) if line.startswith("    judge")]
    assert roles(mine(*((line, "") for line in judges)).shown[0]) == ["first"]
    many = "".join(f"    judge{i}: {{stage: target, seed_plus: {2 * i}}}\n" for i in range(3, 12))
    ten = mine((judges[1], judges[1] + many)).shown[0]
    # By number and not by letter.
    assert roles(ten) == ["first", *(f"judge{i}" for i in range(1, 12))]


def test_a_when_adds_and_removes_networks_of_an_open_role(mine):
    end = (
        "when:\n"
        "  - {dataset: digits, measure: {roles: {judge3: {stage: target, seed_plus: 6}}}}\n"
        "  - {dataset: glyphs, measure: {roles: {judge2: null}}}\n"
    )
    found = {p.place["dataset"]: roles(p)[1:] for p in mine(end=end).shown}
    assert found == {"digits": ["judge1", "judge2", "judge3"], "glyphs": ["judge1"]}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("judge1:", "judge3:"), ("judge1:", "judge0:"), ("judge1:", "judge01:"),
        ("judge1:", "judge:"), ("judge1:", "second:"), ("first:", "judge3:"),
        ("judge1:", '"judge*":'),
    ],
)  # fmt: skip
def test_roles_that_do_not_go_from_1_on_are_refused(mine, old, new):
    with pytest.raises(
        SpecError,
        match=r"measure.roles: mine measures first and any number of judge1, judge2, …, not .*"
        r"\n.*numbers go from 1 on without a gap",
    ) as error:
        mine((old, new))
    assert error.value.line


def test_a_gap_that_a_when_makes_is_the_whens(mine):
    end = "when: [{dataset: digits, measure: {roles: {judge1: null}}}]\n"
    with pytest.raises(SpecError, match="not judge2, first") as error:
        mine(end=end)
    assert error.value.field == "when.0.measure.roles"


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ('("judge*", "first")', "at their end alone"),
        ('("first", "jud*ge")', "at their end alone"),
        ('("first", "*")', "at their end alone"),
        ('("first", "a*", "b*")', "at their end alone"),
        ('("first", "judge2*")', "no other may look like"),
        ('("judge1", "judge*")', "no other may look like"),
    ],
)
def test_open_roles_that_could_be_read_in_two_ways_are_refused(tmp_path, declared, message):
    file = tmp_path / "part.py"
    file.write_text(PART.replace('("first", "judge*")', declared))
    with pytest.raises(SpecError, match=message) as error:
        read_parts(file)
    assert (error.value.line, error.value.field) == (8, "roles")


# -- metrics by name -----------------------------------------------------------------------------


def test_metrics_by_the_names_in_a_parameter_are_known_before_anything_runs(mine):
    found = mine(("metric: mine", "metric: top1/tail"))
    assert {n: (m.unit, m.best) for n, m in found.metrics.items()} == {
        "mine": ("px", "lowest"), "top1/tail": ("%", "highest"),
        "top1/tail_error": ("%", "lowest"),
    }  # fmt: skip
    assert [(m.metric, m.unit) for m in found.suite.metrics] == [("top1/tail", "%")]


def test_a_curve_that_has_a_named_metrics_name_has_its_unit(mine):
    curves = mine(("tail: layer4", "stem: conv1, tail: layer4")).curves
    assert {n: (c.unit, c.axis) for n, c in curves.items() if not n.endswith("_error")} == {
        "top1/stem": ("%", "module"), "top1/tail": ("%", "module"),
    }  # fmt: skip


def test_a_name_that_the_parameter_does_not_have_is_no_metric(mine):
    with pytest.raises(SpecError, match=r"'top1/tall' is not a metric\n.*'top1/tail'"):
        mine(("metric: mine", "metric: top1/tall"))


@pytest.mark.parametrize(
    ("metric", "name", "message"),
    [
        ("mine/fixed", "fixed", "two of its metrics would be mine/fixed"),
        ("mine/a", "a_error", "the metric 'mine/a_error' would be named as what is derived"),
    ],
)
def test_names_that_would_mean_two_things_are_refused(mine, tmp_path, metric, name, message):
    part = PART.replace('"mine":', f'"{metric}":').replace("top1/{", "mine/{")
    (tmp_path / "mine.py").write_text(part)
    with pytest.raises(SpecError, match=f"measure.part.mine: {message}") as error:
        mine(("tail: layer4", f"{name}: layer4"), ("metric: mine", f"metric: {metric}"))
    assert error.value.line


def test_a_curve_by_the_names_of_no_parameter_is_refused(tmp_path):
    file = tmp_path / "part.py"
    file.write_text(PART.replace('"top1/{modules}": "module"', '"top1/{layers}": "module"'))
    with pytest.raises(SpecError, match=r"'top1/\{layers\}' is one for each name in layers, which"):
        read_parts(file)


def test_a_record_of_before_the_parameter_has_none_of_its_metrics():
    metrics = {"mine": ("", "lowest"), "mine/{modules}": ("", "lowest")}
    assert set(named_metrics(metrics, {})) == {"mine"}


# -- pairs of runs -------------------------------------------------------------------------------

PAIRS = ("seed: 2", "seed: 5"), ("seed_plus: 2", "seed_plus: 5"), ("seed_plus: 4", "seed_plus: 10")


def test_pairs_that_share_no_run_are_the_seeds_own(mine):
    found = mine(*PAIRS)
    runs = [parent.id for p in found.shown for parent in p.cell.parents.values()]
    assert len(found.shown) == 10
    assert len(set(runs)) == len(runs) == 30


def test_an_initial_state_that_all_runs_share_is_a_condition(mine):
    init = (
        "{init: {weights: random, dataset: fractals, seed: 1000},"
        ' target: {weights: "stage:init@start"}}'
    )
    found = mine(*PAIRS, ("{target: {weights: random}}", init))
    (start,) = {p.cell.id for p in found.behind if p.name == "stage init"}
    targets = [p.cell for p in found.behind if p.name == "stage target"]
    assert len({cell.id for cell in targets}) == 30
    assert {(c.parents["start"].id, c.parents["start"].artifact) for c in targets} == {
        (start, "checkpoint@start")
    }
