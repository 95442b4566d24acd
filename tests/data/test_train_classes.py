"""A training on some of a set's classes has the rows of these that one on all classes has."""

from __future__ import annotations

import numpy as np
import pytest

from bench.data.subset import holdout, long_tail, of_classes, per_class_subset
from bench.errors import DataError

# CIFAR-100: 500 training images of each class.
CIFAR = np.repeat(np.arange(100), 500)


def rows(imbalance: float, classes: tuple[int, int], seed: int = 0) -> np.ndarray:
    tail = long_tail(CIFAR, imbalance, np.arange(len(CIFAR)), seed, "cifar100")
    return of_classes(CIFAR, classes, tail, "cifar100")


# The supplement of GOODFIT, section 3.2: the largest class over the smallest (its β) to the sizes
# of the two stages, classes 0 to 89 and 90 to 99.
PUBLISHED = {10: (19021, 552), 5: (23784, 1072), 2: (33453, 2576)}
# CIFAR-100-LT at the imbalances that the literature has beside 10: sizes of the released lists.
USUAL = {100: 10847, 50: 12608}


@pytest.mark.parametrize("imbalance", sorted(PUBLISHED))
def test_the_two_stages_of_cifar_100_lt_have_the_published_sizes(imbalance):
    assert (len(rows(imbalance, (0, 90))), len(rows(imbalance, (90, 100)))) == PUBLISHED[imbalance]


@pytest.mark.parametrize("imbalance", sorted(USUAL))
def test_the_usual_imbalances_are_not_those_of_the_published_sizes(imbalance):
    base, tail = len(rows(imbalance, (0, 90))), len(rows(imbalance, (90, 100)))
    assert base + tail == USUAL[imbalance]
    assert (base, tail) not in PUBLISHED.values()


def test_a_class_has_the_rows_that_it_has_among_all():
    labels = np.repeat(np.arange(10), 60)
    drawn = per_class_subset(labels, 0.5, 3, "x")
    tail = long_tail(labels, 10, drawn, 3, "x")
    some = of_classes(labels, (6, 9), tail, "x")
    assert set(labels[some]) == {6, 7, 8}
    assert some.tolist() == [row for row in tail.tolist() if 6 <= labels[row] < 9]
    # So have those that are held out: of each class the same as among all.
    whole, part = holdout(labels, tail, 0.2, 3, "x")[1], holdout(labels, some, 0.2, 3, "x")[1]
    assert part.tolist() == [row for row in whole.tolist() if 6 <= labels[row] < 9]


def test_classes_that_there_are_not_are_an_error():
    with pytest.raises(DataError, match="x has 100 classes, and those from 90 up to 101"):
        of_classes(CIFAR, (90, 101), np.arange(10), "x")
    with pytest.raises(DataError, match="has numbers as targets and no classes"):
        of_classes(np.zeros((4, 2), dtype=np.float32), (0, 1), np.arange(4), "x")
