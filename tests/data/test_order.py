"""Batches that no set is large enough for."""

from __future__ import annotations

import numpy as np
import pytest

from bench.data.order import BalancedOrder, ShuffledOrder
from bench.errors import DataError


@pytest.mark.parametrize(("rows", "batch_size"), [(2, 2 * 10**7), (5, 5001), (1, 10**12)])
def test_batches_beyond_a_thousand_times_the_rows_are_refused(rows, batch_size):
    with pytest.raises(DataError, match=rf"a batch of {batch_size} holds each row") as caught:
        ShuffledOrder(np.arange(rows), batch_size, 0)
    assert caught.value.field == "batch_size"
    ShuffledOrder(np.arange(rows), 1000 * rows, 0)


def test_balanced_batches_beyond_a_thousand_times_the_smallest_class_are_refused():
    labels = np.array([0, 1, 1, 1])
    with pytest.raises(DataError, match="there is 1 of the smallest class"):
        BalancedOrder(np.arange(4), labels, 2 * 1001, 0)
    order = BalancedOrder(np.arange(4), labels, 2 * 1000, 0)
    assert (order.rows(0)[:1000] == 0).all()
