"""Discs are the same everywhere, labelled by where they lie, and many of each region."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from bench.data.digests import array_digest
from bench.data.procedural import discs
from bench.data.sources.procedural import procedural_source
from bench.spec.catalogue import entry

SUITES = Path(__file__).parents[3] / "suites"
NAMES = ("discs-together", "discs-apart", "discs-askew")


def regions(points):
    """In the left, the right and the small disc, by distances anew."""
    at = points.astype(np.float64)
    left = np.hypot(*(at - [-0.5, 0.0]).T) < 0.35
    right = np.hypot(*(at - [0.5, 0.0]).T) < 0.35
    small = np.hypot(*(at - [0.5, 0.7]).T) < 0.25
    return left, right, small


@pytest.mark.parametrize("name", NAMES)
def test_they_come_out_as_pinned(name):
    source = procedural_source(name)
    assert array_digest(source.modality, source.splits) == entry(name).digest
    for split, count in (("train", 400), ("test", 300)):
        rows = source.splits[split]
        assert rows.inputs.shape == (2 * count, 2)
        assert rows.inputs.dtype == np.float32
        assert np.bincount(rows.targets).tolist() == [count] * 2
        assert np.abs(rows.inputs).max() <= 1


def test_how_many_test_points_lie_in_the_discs_is_what_the_toys_page_says():
    note = (SUITES / "modelpatch" / "toy.yaml").read_text(encoding="utf-8")
    left, right, _ = regions(procedural_source("discs-apart").test.inputs)
    said = re.search(r"of `discs-apart` (\d+)%\s+lie in the discs, .* is wrong on (\d+)%", note)
    assert said is not None
    assert [float(n) for n in said.groups()] == [
        round(100 * (left | right).mean()),
        round(100 * right.mean()),
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_class_is_by_its_discs(name):
    rows = procedural_source(name).test
    left, right, small = regions(rows.inputs)
    expected = {
        "discs-together": left | right,
        "discs-apart": left,
        "discs-askew": left | small,
    }[name]
    assert np.array_equal(rows.targets == 1, expected)


def test_either_disc_holds_a_good_part_of_each_class_that_it_is_in():
    left, right, _ = regions(procedural_source("discs-together").train.inputs)
    assert 150 < left.sum() < 250
    assert 150 < right.sum() < 250
    _, right, _ = regions(procedural_source("discs-apart").train.inputs)
    # Who takes the right disc for the left one is wrong on every fifth point.
    assert 140 < right.sum() < 220


def test_points_do_not_depend_on_how_many_are_drawn():
    few, many = (discs.points("discs-apart", 1, "test", n) for n in (2, 90))
    assert np.array_equal(few, many[:2])
    other = discs.points("discs-apart", 1, "train", 2)
    assert not np.array_equal(few, other)
    assert not np.array_equal(discs.points("discs-together", 1, "test", 2), few)
