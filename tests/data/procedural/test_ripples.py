"""Ripples are the same everywhere, the function they say, and what the toy's page says of it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from bench.data.digests import array_digest
from bench.data.prepare import prepare
from bench.data.procedural import ripples
from bench.data.sources.procedural import procedural_source
from bench.spec.catalogue import entry

SUITE = Path(__file__).parents[3] / "suites" / "profit" / "toy.yaml"
NAMES = ("ripples-original", "ripples-new")


def moments(low: float, high: float) -> tuple[float, float]:
    """Mean and mean square of sin(10‖x‖) over a square, by Gauss-Legendre quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(400)
    line = low + (high - low) * (nodes + 1) / 2
    values = np.sin(10 * np.hypot(line[:, None], line[None, :]))
    mass = np.outer(weights, weights) / 4
    return float((mass * values).sum()), float((mass * values**2).sum())


@pytest.mark.parametrize("name", NAMES)
def test_they_come_out_as_pinned(name, tmp_path):
    known = entry(name)
    source = procedural_source(name)
    assert array_digest(source.modality, source.splits) == known.digest
    assert [len(source.splits[s]) for s in ("train", "test")] == [50_000, 20_000]
    ready = prepare(name, None, cache=tmp_path)
    assert (ready.classes, ready.target_shape, ready.digest) == (None, (2,), known.digest)


@pytest.mark.parametrize(("name", "low", "high"), [(NAMES[0], -1, 1), (NAMES[1], 0.8, 1.5)])
def test_targets_are_the_function_and_the_same_with_unit_noise(name, low, high):
    for split in ("train", "test"):
        rows = ripples.rows(name, split)
        assert low <= rows.inputs.min() < low + 0.001
        assert high - 0.001 < rows.inputs.max() <= high
        exact = np.sin(10 * np.hypot(*rows.inputs.astype(np.float64).T))
        assert np.abs(rows.targets[:, 0] - exact).max() < 1e-7
        noise = rows.targets[:, 1] - exact
        # Four standard errors.
        assert abs(noise.mean()) < 4 / np.sqrt(len(noise))
        assert abs(noise.var() - 1) < 4 * np.sqrt(2 / len(noise))
        mean, square = moments(low, high)
        assert rows.targets[:, 0].mean() == pytest.approx(mean, abs=4 / np.sqrt(len(noise)))
        assert np.square(exact).mean() == pytest.approx(square, abs=2 / np.sqrt(len(noise)))


def test_rows_do_not_depend_on_how_many_are_drawn_and_splits_differ():
    few, many = (ripples.rows("ripples-new", "test", n) for n in (3, 50))
    assert np.array_equal(few.inputs, many.inputs[:3])
    assert np.array_equal(few.targets, many.targets[:3])
    other = ripples.rows("ripples-new", "train", 3)
    assert not np.array_equal(few.inputs, other.inputs)
    noises = [r.targets[:, 1] - r.targets[:, 0] for r in (few, other)]
    assert np.abs(noises[0] - noises[1]).min() > 1e-3


def test_the_errors_of_the_best_constant_and_of_zero_are_what_the_page_says():
    mean, square = moments(0.8, 1.5)
    text = " ".join(SUITE.read_text(encoding="utf-8").split())
    said = re.search(r"squared error: (0\.\d+), the variance .* \(0 itself has (0\.\d+)\)", text)
    assert said is not None
    assert [float(n) for n in said.groups()] == [round(square - mean**2, 4), round(square, 4)]
    claims = (SUITE.parent / "paper.yaml").read_text(encoding="utf-8")
    assert f"number: {square - mean**2:.4f}\n" in claims
