"""Further seeds follow on a suite's own, whose cells stay what they are."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bench.spec.find import find_suite
from bench.spec.further import with_further
from bench.spec.plan import load_plan

SUITE = find_suite(str(Path(__file__).parents[2] / "suites" / "bss" / "table2.yaml"))


@given(st.lists(st.integers(0, 40), unique=True, max_size=12), st.integers(0, 30))
def test_own_seeds_come_first_and_the_smallest_others_follow(own: list[int], n: int) -> None:
    seeds = with_further(own, n)
    assert list(seeds[: len(own)]) == own
    assert len(seeds) == max(len(own), n) == len(set(seeds))
    rest = list(seeds[len(own) :])
    assert rest == [s for s in range(100) if s not in own][: len(rest)]
    # A longer list begins with the shorter one: what was a look stays one.
    assert with_further(own, n + 3)[: len(seeds)] == seeds


def test_a_longer_plan_has_the_same_cells_and_further_ones_with_their_parents() -> None:
    own, longer = load_plan(SUITE), load_plan(SUITE, seeds=8)
    assert set(own.unique()) < set(longer.unique())
    assert {p.labels["seed"] for p in longer.cells if p.labels} == set(range(8))
    labelled = [sum(bool(p.labels) for p in plan.cells) for plan in (own, longer)]
    assert labelled[1] * 5 == labelled[0] * 8
    for cell in longer.unique().values():
        assert {parent.id for parent in cell.parents.values()} <= set(longer.unique())


def test_fewer_seeds_than_the_suite_has_change_nothing() -> None:
    assert load_plan(SUITE, seeds=2).cells == load_plan(SUITE).cells
