"""Per-class subsets have the published sizes, nest, and depend on nothing but seed and data."""

from __future__ import annotations

from decimal import Decimal
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.subset import holdout, long_tail, per_class_subset, share, subset_digest
from bench.errors import DataError

# Class sizes of the official training splits.
CUB = np.repeat(np.arange(200), [30] * 194 + [29] * 6)
AIRCRAFT = np.repeat(np.arange(100), [67] * 67 + [66] * 33)

label_lists = st.lists(st.integers(0, 6), min_size=1, max_size=80)
rates = st.integers(1, 100).map(lambda percent: percent / 100)
seeds = st.integers(0, 2**31)


@pytest.mark.parametrize(
    ("labels", "sizes"),
    [(CUB, (1000, 1800, 3000, 5994)), (AIRCRAFT, (1067, 2067, 3367, 6667))],
    ids=["cub", "aircraft"],
)
def test_sizes_are_those_of_the_released_lists(labels, sizes):
    # Line counts of the lists released with Chen et al. 2019.
    found = tuple(len(per_class_subset(labels, r, 0, "x")) for r in (0.15, 0.30, 0.50, 1.00))
    assert found == sizes


def test_seven_percent_of_a_hundred_is_seven():
    # 0.07 * 100 is 7.000000000000001 in binary floating point.
    assert share(0.07, 100) == 7
    assert ceil(0.07 * 100) == 8


@given(label_lists, rates, seeds)
def test_each_class_keeps_the_ceiling_of_its_share(labels, rate, seed):
    kept = per_class_subset(labels, rate, seed, "x")
    counts, taken = np.bincount(labels), np.bincount(np.array(labels)[kept])
    exact = [ceil(Decimal(str(rate)) * int(n)) for n in counts]
    assert taken.tolist() + [0] * (len(counts) - len(taken)) == exact


@given(label_lists, rates, rates, seeds)
def test_lower_rates_lie_within_higher_ones(labels, a, b, seed):
    low, high = sorted((a, b))
    small, large = (set(per_class_subset(labels, r, seed, "x").tolist()) for r in (low, high))
    assert small <= large


@given(label_lists, rates, seeds)
def test_rows_are_sorted_and_unique(labels, rate, seed):
    kept = per_class_subset(labels, rate, seed, "x")
    assert kept.dtype == np.int64
    assert (np.diff(kept) > 0).all()


def test_seeds_and_datasets_give_other_subsets_and_one_seed_gives_one():
    base = per_class_subset(CUB, 0.5, 3, "cub")
    assert np.array_equal(base, per_class_subset(CUB.tolist(), 0.5, 3, "cub"))
    assert not np.array_equal(base, per_class_subset(CUB, 0.5, 4, "cub"))
    assert not np.array_equal(base, per_class_subset(CUB, 0.5, 3, "other"))


def test_classes_are_drawn_apart_from_each_other():
    pair = np.repeat([0, 1], 30)
    kept = per_class_subset(pair, 0.5, 0, "x")
    first, second = kept[:15], kept[15:] - 30
    assert first.tolist() != second.tolist()
    grown = per_class_subset(np.repeat([0, 1], [30, 44]), 0.5, 0, "x")
    assert grown[:15].tolist() == first.tolist()


def test_every_row_is_about_equally_likely():
    taken = np.zeros(20)
    for seed in range(400):
        taken[per_class_subset([0] * 20, 0.25, seed, "x")] += 1
    # 400 draws of 5 in 20: each row 100 ± 8.7 times; five deviations.
    assert np.abs(taken - 100).max() < 44


@pytest.mark.parametrize("rate", [0.0, -0.1, 1.01])
def test_a_rate_outside_its_range_is_an_error(rate):
    with pytest.raises(ValueError, match="sampling rate"):
        per_class_subset([0, 1], rate, 0, "x")


@given(label_lists, rates, st.integers(1, 99).map(lambda p: p / 100), seeds)
@settings(max_examples=60)
def test_holding_out_splits_the_subset_and_leaves_one_a_class(labels, rate, fraction, seed):
    labels = np.array(labels)
    indices = per_class_subset(labels, rate, seed, "x")
    counts = np.bincount(labels[indices])
    if counts.max() < 2:
        with pytest.raises(DataError, match="held out"):
            holdout(labels, indices, fraction, seed, "x")
        return
    train, validation = holdout(labels, indices, fraction, seed, "x")
    assert sorted([*train, *validation]) == indices.tolist()
    expected = [max(0, min(ceil(Decimal(str(fraction)) * int(n)), int(n) - 1)) for n in counts]
    assert np.bincount(labels[validation], minlength=len(counts)).tolist() == expected
    assert set(labels[train]) == set(labels[indices])


def test_five_percent_of_cifar_is_25_a_class():
    labels = np.repeat(np.arange(100), 500)
    train, validation = holdout(labels, np.arange(50000), 0.05, 0, "cifar-100")
    assert np.bincount(labels[validation]).tolist() == [25] * 100
    assert len(train) == 47500


def test_larger_fractions_hold_out_what_smaller_ones_did():
    labels = np.repeat(np.arange(5), 40)
    held = [set(holdout(labels, np.arange(200), f, 1, "x")[1].tolist()) for f in (0.05, 0.2, 0.6)]
    assert held[0] < held[1] < held[2]


def test_nothing_is_held_out_at_zero():
    train, validation = holdout([0, 1, 0], [2, 0], 0.0, 0, "x")
    assert train.tolist() == [0, 2]
    assert validation.tolist() == []


def test_the_subset_digest_names_dataset_and_rows():
    one = subset_digest("d", [1, 2])
    assert one == subset_digest("d", np.array([1, 2], dtype=np.int32))
    assert len({one, subset_digest("e", [1, 2]), subset_digest("d", [1, 3])}) == 3
    assert len(one) == 64


def test_a_number_of_images_is_held_out_of_each_class():
    labels = np.repeat([0, 1, 2], [20, 6, 4])
    train, held = holdout(labels, np.arange(30), 5, seed=0, dataset="any")
    # Every class keeps one to train on.
    assert np.bincount(labels[held]).tolist() == [5, 5, 3]
    assert sorted([*train, *held]) == list(range(30))
    fewer = holdout(labels, np.arange(30), 2, seed=0, dataset="any")[1]
    assert set(fewer) <= set(held)


# numbers to predict


def test_numbers_are_one_stratum():
    values = np.linspace(0, 1, 40, dtype=np.float32)[:, None]
    kept = per_class_subset(values, 0.3, 4, "x")
    assert kept.tolist() == per_class_subset([0] * 40, 0.3, 4, "x").tolist()
    train, held = holdout(values, kept, 0.25, 4, "x")
    assert len(held) == 3
    assert sorted([*train, *held]) == kept.tolist()
    assert len(holdout(values, kept, 5, 4, "x")[1]) == 5


# long tails


@pytest.mark.parametrize(
    ("classes", "largest", "imbalance", "total"),
    # CIFAR-100-LT and CIFAR-10-LT: totals stated with the released lists.
    [(100, 500, 100, 10847), (100, 500, 50, 12608), (100, 500, 10, 19573), (10, 5000, 100, 12406)],
)
def test_long_tails_have_the_published_sizes(classes, largest, imbalance, total):
    labels = np.repeat(np.arange(classes), largest)
    counts = np.bincount(labels[long_tail(labels, imbalance, np.arange(len(labels)), 0, "x")])
    mu = 1 / imbalance
    assert counts.tolist() == [int(largest * mu ** (i / (classes - 1))) for i in range(classes)]
    assert counts.sum() == total


def test_a_whole_count_is_not_lost_to_rounding():
    # 96 / 32 ** (4 / 5) is 5.999999999999999, and 49 * (1 / 49) is 0.9999999999999999.
    labels = np.repeat(np.arange(6), 96)
    kept = long_tail(labels, 32, np.arange(len(labels)), 0, "x")
    assert np.bincount(labels[kept]).tolist() == [96, 48, 24, 12, 6, 3]
    labels = np.repeat([0, 1], 49)
    assert len(long_tail(labels, 49, np.arange(98), 0, "x")) == 50
    assert len(long_tail(labels, 1000, np.arange(98), 0, "x")) == 50
    assert len(long_tail(labels, 1, np.arange(98), 0, "x")) == 98


def test_longer_tails_lie_within_shorter_ones_and_within_the_subset():
    labels = np.repeat(np.arange(5), 40)
    subset = per_class_subset(labels, 0.5, 2, "x")
    tails = [set(long_tail(labels, n, subset, 2, "x").tolist()) for n in (20, 5, 2)]
    assert tails[0] < tails[1] < tails[2] < set(subset.tolist())
    assert np.bincount(labels[sorted(tails[1])]).tolist() == [20, 13, 8, 5, 4]
    other = long_tail(labels, 5, subset, 3, "x")
    assert set(other.tolist()) != tails[1]


def test_a_class_gives_no_more_than_it_has():
    labels = np.repeat([0, 1, 2], [2, 30, 30])
    kept = long_tail(labels, 9, np.arange(62), 0, "x")
    assert np.bincount(labels[kept]).tolist() == [2, 10, 3]


def test_a_long_tail_needs_classes_and_an_imbalance():
    with pytest.raises(DataError, match="no classes"):
        long_tail(np.zeros((4, 1), dtype=np.float32), 10, np.arange(4), 0, "x")
    with pytest.raises(ValueError, match="imbalance"):
        long_tail([0, 1], 0.5, [0, 1], 0, "x")
