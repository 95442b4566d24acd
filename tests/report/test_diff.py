"""What changed, by how much, and whether it is more than noise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.errors import UserError
from bench.report.diff import Diff, Side, diff
from bench.report.diff_origin import Differing, differing_origins, differing_settings
from bench.report.frame import cell_frame, frame_csv, read_frame

from .studies import MADE, RECIPE, Study, study

TOP1 = "test/top1"
SEEDS = 6
BASE = np.array([0.50, 0.53, 0.47, 0.55, 0.52, 0.49])
NOISE = np.array([0.01, -0.01, 0.005, -0.004, 0.002, -0.003])
GAIN = np.array([0.10, 0.11, 0.09, 0.10, 0.12, 0.10])


def made(**values: np.ndarray) -> Study:
    """One rate; ``l2`` and ``bss`` seed by seed."""
    n = max(len(v) for v in values.values())
    given_ = study({"seed": list(range(n)), "sampling_rate": [0.15]})
    for name, column in values.items():
        method = {"l2": "l2", "bss": "l2+bss"}[name]
        padded = [*column, *[None] * (n - len(column))]
        given_.record(padded, method=method)
    return given_


def side(of: Study, name: str = "A") -> Side:
    return Side(name, cell_frame(of.results))


def csv(of: Study, name: str = "B") -> Side:
    return Side(name, read_frame(frame_csv(cell_frame(of.results)), name))


def compare(a: Study, b: Study) -> Diff:
    return diff(side(a), csv(b), TOP1)


def test_a_store_is_identical_to_its_own_csv() -> None:
    one = made(l2=BASE, bss=BASE + GAIN)
    found = compare(one, one)
    assert [change.kind for change in found.changes] == ["identical"] * 2
    assert not found.changed
    assert not found.different
    assert found.same_cells == (12, 12)


def test_a_difference_is_paired_by_seed_and_in_points() -> None:
    found = compare(made(l2=BASE), made(l2=BASE + GAIN))
    (change,) = found.changes
    assert change.difference.mean == pytest.approx(100 * GAIN.mean())
    low, high = stats.t.interval(0.95, 5, 100 * GAIN.mean(), stats.sem(100 * GAIN))
    assert (change.difference.low, change.difference.high) == pytest.approx((low, high))
    assert change.p == pytest.approx(stats.ttest_rel(BASE + GAIN, BASE).pvalue)
    assert (change.kind, change.paired) == ("changed", True)
    assert found.changed


def test_noise_is_not_a_change() -> None:
    found = compare(made(l2=BASE), made(l2=BASE + NOISE))
    assert found.changes[0].kind == "within noise"
    assert found.different
    assert not found.changed


def test_p_values_are_holms_over_what_is_not_identical() -> None:
    weak = NOISE + 0.006
    p = stats.ttest_rel(BASE + weak, BASE).pvalue
    alone = compare(made(l2=BASE, bss=BASE), made(l2=BASE + weak, bss=BASE))
    assert [e.kind for e in alone.changes] == ["within noise", "identical"]
    assert alone.changes[0].p == pytest.approx(p)
    both = compare(made(l2=BASE, bss=BASE), made(l2=BASE + weak, bss=BASE + GAIN))
    assert both.changes[0].p == pytest.approx(p)
    twice = compare(made(l2=BASE, bss=BASE), made(l2=BASE + weak, bss=BASE + weak))
    assert twice.changes[0].p == pytest.approx(2 * p)


def test_other_seeds_are_compared_by_welchs_test() -> None:
    found = compare(made(l2=BASE[:4]), made(l2=BASE + GAIN))
    (change,) = found.changes
    expected = stats.ttest_ind(BASE + GAIN, BASE[:4], equal_var=False)
    assert not change.paired
    assert change.p == pytest.approx(expected.pvalue)
    assert (change.a.n, change.b.n) == (4, 6)


def test_one_seed_cannot_say() -> None:
    found = compare(made(l2=BASE[:1]), made(l2=BASE[:1] + 0.3))
    assert found.changes[0].kind == "one seed"
    assert found.changes[0].difference.mean == pytest.approx(30)
    assert not found.changed


def test_equal_differences_are_judged_by_sign_flips() -> None:
    exact = np.array([0.5, 0.25, 0.75, 0.5, 0.25, 0.125])
    assert compare(made(l2=exact), made(l2=exact + 0.125)).changes[0].p == 2 / 2**6
    four = compare(made(l2=exact[:4]), made(l2=exact[:4] + 0.125))
    assert four.changes[0].kind == "within noise"


def test_what_is_in_one_alone_is_named() -> None:
    found = compare(made(l2=BASE, bss=BASE), made(l2=BASE))
    assert [place["method"] for place in found.only_a] == ["l2+bss"]
    assert found.only_b == ()
    assert found.different


def test_cells_that_are_not_done_do_not_count() -> None:
    lost = made(l2=BASE)
    lost.lose("stale", seed=0, method="l2")
    assert compare(made(l2=BASE), lost).changes[0].b.n == SEEDS - 1


def test_numbers_on_axes_agree_however_they_are_written() -> None:
    text = "sampling_rate,seed,cell,state,test/top1\n0.30,0,x,done,0.5\n1.00,0,y,done,0.5\n"
    other = text.replace("0.30", "0.3").replace("1.00", "1")
    found = diff(Side("A", read_frame(text, "A")), Side("B", read_frame(other, "B")), TOP1)
    assert len(found.changes) == 2


def test_an_axis_of_one_value_each_is_a_setting() -> None:
    a = side(made(l2=BASE))
    b = replace(a, name="B", frame=a.frame.assign(backbone="resnet50"))
    found = diff(a, b, TOP1)
    assert found.settings == {"backbone": ("test_resnet", "resnet50")}
    assert len(found.changes) == 1


def test_a_derived_error_can_be_compared() -> None:
    found = diff(side(made(l2=BASE)), side(made(l2=BASE + GAIN), "B"), "test/top1_error")
    assert found.changes[0].difference.mean == pytest.approx(-100 * GAIN.mean())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a leaderboard's CSV"),
        ("cell,state\na\n", "is not a CSV"),
        ("cell,state\na,b,c\n", "is not a CSV"),
        ("cell,state\na,b\na,b,c\n", "is not a CSV"),
        ("step,value\n1,2\n", "no columns cell, state"),
        ("cell,value,state\na,b,c\n", "no columns cell, state"),
    ],
)
def test_another_file_is_the_users_error(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_frame(text, "x.csv")


def test_nothing_in_common_and_no_such_metric_are_the_users_errors() -> None:
    one = made(l2=BASE)
    with pytest.raises(UserError, match="no entry with numbers in common"):
        compare(one, made(bss=BASE))
    with pytest.raises(UserError, match=r"A has no metric 'test/topp1'\n.*test/top1"):
        diff(side(one), csv(one), "test/topp1")
    wide = side(one, "B")
    wide.frame.insert(0, "extra", range(len(wide.frame)))
    with pytest.raises(UserError, match="B has several values of extra"):
        diff(side(one), wide, TOP1)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(0, 1000), min_size=1, max_size=6),
    st.lists(st.integers(0, 1000), min_size=1, max_size=6),
)
def test_the_other_way_round_only_signs_change(first: list[int], second: list[int]) -> None:
    a, b = (made(l2=np.array(x) / 1000) for x in (first, second))
    (there,), (back,) = compare(a, b).changes, compare(b, a).changes
    assert there.kind == back.kind
    assert there.difference.mean == pytest.approx(-back.difference.mean)
    assert there.p == pytest.approx(back.p, nan_ok=True)


def test_origins_that_differ_are_named_and_no_others() -> None:
    a, b = made(l2=BASE), made(l2=BASE)
    other = replace(MADE, code={**MADE.code, "core": "f" * 64}, versions={"torch": "2.7.0"})
    b.record(BASE, method="l2", made=other)
    found = differing_origins(list(a.records.values()), list(b.records.values()))
    assert found == [
        Differing("code", "core", ("a" * 12,), ("f" * 12,)),
        Differing("version", "torch", ("2.6.0",), ("2.7.0",)),
    ]
    assert differing_origins(list(a.records.values()), list(a.records.values())) == []


def test_settings_that_differ_are_counted() -> None:
    a = made(l2=BASE)
    b = study(
        {"seed": list(range(SEEDS)), "sampling_rate": [0.15]},
        recipes=lambda labels: RECIPE.model_copy(update={"steps": 20}),
    )
    b.record(BASE, method="l2")
    pairs = list(zip(a.records.values(), b.records.values(), strict=True))
    assert dict(differing_settings(pairs)) == {("steps", "10", "20"): SEEDS}
    assert not differing_settings(list(zip(a.records.values(), a.records.values(), strict=True)))


def test_the_committed_leaderboard_is_readable() -> None:
    file = Path(__file__).parents[2] / "leaderboards" / "bss" / "table2.offline.csv"
    board = Side(file.name, read_frame(file.read_text(), file.name))
    found = diff(board, replace(board, name="again"), TOP1)
    assert not found.different
    assert len(found.changes) == 60
