"""What a claim compares, as weighted sums of places."""

from __future__ import annotations

from itertools import product

import pytest

from bench.spec.claims import Claim
from bench.spec.comparisons import comparisons

PLACES = [
    {"dataset": d, "rate": r, "method": m}
    for d, r, m in product(["cub", "cars"], [0.15, 1.0], ["a", "a+", "b", "b+"])
]
GAIN = {"axis": "method", "pairs": [["a+", "a"], ["b+", "b"]]}


def ask(places=PLACES, **fields):
    given = {"id": "x", "text": "x", "source": "x", "suite": "t", "refuted_by": "x"}
    claim = Claim.model_validate({**given, "expect": "greater", **fields})
    return comparisons(claim, places)


def weights(comparison):
    """Each place with its weight, those of one place added up."""
    found = {}
    for weight, index in comparison.terms:
        name = ",".join(str(v) for v in PLACES[index].values())
        found[name] = found.get(name, 0) + weight
    return found


def test_a_pair_is_compared_at_every_place_that_has_both():
    found = ask(compare=[GAIN])
    assert len(found) == 2 * 2 * 2
    assert found[0].where == {"dataset": "cub", "rate": 0.15}
    assert found[0].pairs == {"method": (("a+", "a"),)}
    assert weights(found[0]) == {"cub,0.15,a+": 1, "cub,0.15,a": -1}


def test_a_selection_keeps_its_values_only():
    found = ask(compare=[GAIN], where={"dataset": "cub", "rate": [1.0]})
    assert [c.where for c in found] == [{"dataset": "cub", "rate": 1.0}] * 2


def test_without_a_contrast_each_place_is_its_own_comparison():
    found = ask(number=50.0, where={"method": "a"})
    assert [weights(c) for c in found] == [
        {f"{d},{r},a": 1} for d, r in product(["cub", "cars"], [0.15, 1.0])
    ]


def test_two_contrasts_are_a_difference_of_differences():
    (found,) = ask(
        compare=[
            {"axis": "method", "pairs": [["a+", "a"]]},
            {"axis": "rate", "pairs": [[0.15, 1]]},
        ],
        where={"dataset": "cub"},
    )
    assert weights(found) == {
        "cub,0.15,a+": 1, "cub,0.15,a": -1, "cub,1.0,a+": -1, "cub,1.0,a": 1,
    }  # fmt: skip
    assert found.pairs == {"method": (("a+", "a"),), "rate": ((0.15, 1),)}


def test_a_pairs_difference_may_be_taken_off_from_anothers_of_the_same_axis():
    (found,) = ask(
        compare=[{"axis": "method", "pairs": [["a+", "a"]], "less": [["b+", "b"]]}],
        where={"dataset": "cub", "rate": 1.0},
    )
    assert weights(found) == {
        "cub,1.0,a+": 1, "cub,1.0,a": -1, "cub,1.0,b+": -1, "cub,1.0,b": 1,
    }  # fmt: skip
    assert found.pairs == {"method": (("a+", "a"), ("b+", "b"))}


def test_a_value_on_both_sides_cancels():
    (found,) = ask(
        compare=[{"axis": "method", "pairs": [["a+", "a"]], "less": [["a+", "b"]]}],
        where={"dataset": "cub", "rate": 1.0},
    )
    assert weights(found) == {"cub,1.0,a+": 0, "cub,1.0,a": -1, "cub,1.0,b": 1}


def test_both_signs_of_a_gap_are_two_comparisons_of_one_pair():
    pair = {"axis": "method", "pairs": [["a+", "a"]] * 2, "less": [["b+", "b"], ["b", "b+"]]}
    found = ask(compare=[pair], where={"dataset": "cub", "rate": 1.0})
    assert [weights(each)["cub,1.0,b+"] for each in found] == [-1, 1]


def test_averaging_over_a_compared_axis_averages_its_pairs():
    found = ask(compare=[GAIN], mean_over=["method"], where={"rate": 1.0})
    assert [c.where["dataset"] for c in found] == ["cub", "cars"]
    assert weights(found[0]) == {
        "cub,1.0,a+": 0.5, "cub,1.0,a": -0.5, "cub,1.0,b+": 0.5, "cub,1.0,b": -0.5,
    }  # fmt: skip
    assert found[0].pairs == {}


def test_averaging_over_other_axes_keeps_the_pairs_apart():
    found = ask(compare=[GAIN], mean_over=["dataset", "rate"])
    assert [c.pairs["method"] for c in found] == [(("a+", "a"),), (("b+", "b"),)]
    assert {abs(w) for c in found for w in weights(c).values()} == {1 / 4}


def test_the_mean_of_everything_is_one_comparison():
    (found,) = ask(compare=[GAIN], of="mean")
    assert set(weights(found).values()) == {1 / 8, -1 / 8}
    assert (found.where, found.pairs) == ({}, {})


def test_a_pair_with_one_side_is_not_compared():
    places = [p for p in PLACES if p != {"dataset": "cub", "rate": 1.0, "method": "a"}]
    assert len(ask(places, compare=[GAIN])) == 7
    assert ask([{"method": "a+"}], compare=[GAIN]) == []


@pytest.mark.parametrize("of", ["each", "mean"])
def test_weights_of_a_contrast_add_up_to_zero(of):
    for comparison in ask(compare=[GAIN], of=of):
        assert sum(weight for weight, _ in comparison.terms) == pytest.approx(0)


def test_a_condition_on_an_axis_that_places_do_not_name_is_met():
    places = [{"method": "a"}, {"method": "a+"}]
    assert len(ask(places, compare=[GAIN], where={"dataset": "cub"})) == 1
