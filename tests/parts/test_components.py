"""The number of components by bias is the published law at every bias, the odd points too."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from bench.errors import UserError
from bench.parts.kinds import Measured
from bench.parts.measurements.components import Components
from bench.parts.pullback import network, preimage

SEGMENT = Fraction(1, 5), Fraction(2, 5)
THOUSANDTHS = [Fraction(i, 1000) for i in range(-700, 201)]


def layers(bias: Fraction) -> list[list[Fraction]]:
    zero = Fraction(0)
    return [[bias, zero, zero], [zero, zero, zero]]


def law(bias: Fraction) -> int:
    """By the height h = 1 + 2b of the first tent: its rise and fall to the two pulled-back parts.

    The second tent takes [0.1, 0.2] and [0.8, 0.9] to the segment.
    """
    height = 1 + 2 * bias
    upper = 2 if height > Fraction(9, 10) else int(height >= Fraction(8, 10))
    lower = 2 if height > Fraction(2, 10) else int(height >= Fraction(1, 10))
    return upper + lower


def test_the_count_is_the_law_at_901_biases():
    assert len(THOUSANDTHS) == 901
    found = [len(preimage(SEGMENT, layers(bias))) for bias in THOUSANDTHS]
    assert found == [law(bias) for bias in THOUSANDTHS]


def test_the_papers_ranges_hold_but_at_one_tenth_where_a_point_is_added():
    def printed(bias: Fraction) -> int:
        ends = [(-50, 4), (-100, 3), (-400, 2)]
        above = next((n for end, n in ends if bias > Fraction(end, 1000)), None)
        return above if above is not None else int(bias >= Fraction(-450, 1000))

    odd = [b for b in THOUSANDTHS if len(preimage(SEGMENT, layers(b))) != printed(b)]
    assert odd == [Fraction(-1, 10)]
    points = [part for part in preimage(SEGMENT, layers(odd[0])) if part[0] == part[1]]
    assert points == [(Fraction(1, 2), Fraction(1, 2))]
    assert preimage(SEGMENT, layers(Fraction(-45, 100))) == [(Fraction(1, 2), Fraction(1, 2))]
    assert preimage(SEGMENT, layers(Fraction(-451, 1000))) == []


def relu(x):
    return np.maximum(x, 0)


def in_floats(x: np.ndarray, bias: float, p: int, k: int) -> np.ndarray:
    """F as the paper writes it, on a grid."""
    for layer in range(k):
        v = [relu(x + bias * (layer == 0)), *(relu(2 * x - i) for i in range(1, p))]
        x = 2 * relu(sum((-1) ** i * each for i, each in enumerate(v)))
    return x


@pytest.mark.parametrize(("p", "k"), [(2, 1), (2, 2), (2, 3), (4, 1), (4, 2), (6, 2)])
@pytest.mark.parametrize("bias", [0.0, 0.13, -0.075, -0.125, -0.333, -0.425])
def test_any_depth_and_width_is_what_a_fine_grid_shows(p, k, bias):
    part = Components(p=p, k=k, bias=bias, points=2)
    x = np.linspace(-2, 5, 700_001) + 1e-7
    inside = np.abs(in_floats(x, bias, p, k) - 0.3) <= 0.1
    seen = int(inside[0]) + int((inside[1:] & ~inside[:-1]).sum())
    assert part(None).metrics["components"] == seen
    exact = part._layers(Fraction(str(bias)))
    for at in range(0, 700_001, 70_000):
        value = float(network(Fraction(float(x[at])), exact))
        assert value == pytest.approx(in_floats(x[at : at + 1], bias, p, k)[0], abs=1e-9)


def test_a_segment_that_holds_zero_has_both_half_lines():
    tent = layers(Fraction(0))[:1]
    ends = preimage((Fraction(-1), Fraction(1, 2)), tent)
    assert ends == [(-np.inf, Fraction(1, 4)), (Fraction(3, 4), np.inf)]
    assert preimage((Fraction(-2), Fraction(-1)), tent) == []
    assert preimage((Fraction(0), Fraction(2)), tent) == [(-np.inf, np.inf)]


def test_the_measurement_gives_the_law_and_the_function():
    found = Components(bias=-0.1)(None)
    assert isinstance(found, Measured)
    # A float is not a tenth: -0.1 as written is.
    assert found.metrics == {"components": 3.0}
    line = found.curves["components"]
    assert list(line.at) == [i / 1000 for i in range(-700, 201)]
    assert list(line.value) == [law(bias) for bias in THOUSANDTHS]
    output = dict(zip(*(found.curves["output"].at, found.curves["output"].value), strict=True))
    assert (output[0.5], output[0.05], output[0.35]) == (0.4, 0.0, 1.0)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"p": 3}, "p"),
        ({"segment": (0.4, 0.2)}, "segment"),
        ({"segment": (0.4,)}, "segment"),
        ({"lowest": 1.0}, "lowest"),
        ({"points": 1}, "points"),
    ],
)
def test_a_parameter_out_of_range_is_an_error_that_names_it(settings, field):
    with pytest.raises(UserError, match=rf"components\.{field}"):
        Components(**settings)(None)
