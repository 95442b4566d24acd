"""Sets of the line pulled back through small ReLU networks, in exact arithmetic.

The networks are F = q ∘ … ∘ q of Mudrakarta et al. 2019, appendix A.1, each q with biases b of
its own, p + 1 of them: q(x; b) = 2 ReLU(v₀ − v₁ + … ± v₍p₋₁₎ + b_p) with v₀ = max(0, x + b₀) and
vᵢ = max(0, 2x − i + bᵢ). With p = 2 and b = 0 it is the tent map on [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise

# Infinite ends are floats.
Number = Fraction | float
Interval = tuple[Number, Number]
Biases = Sequence[Fraction]


def network(x: Fraction, layers: Iterable[Biases]) -> Fraction:
    """Return F(x), the layers' functions one after the other."""
    for biases in layers:
        x = 2 * max(Fraction(0), _teeth(x, biases))
    return x


def preimage(segment: Interval, layers: Sequence[Biases]) -> list[Interval]:
    """Return the connected components of F⁻¹(segment), closed intervals from left to right.

    A component may be a single point: both of its ends.
    """
    components = [segment]
    for biases in reversed(layers):
        components = _merged(x for part in components for x in _through(part, biases))
    return components


def _teeth(x: Fraction, biases: Biases) -> Fraction:
    """Return what q takes the last ReLU of."""
    slopes = (1, *[2] * (len(biases) - 2))
    total = biases[-1]
    for i, (slope, bias) in enumerate(zip(slopes, biases[:-1], strict=True)):
        total += (-1) ** i * max(Fraction(0), slope * x - i + bias)
    return total


def _through(segment: Interval, biases: Biases) -> Iterator[Interval]:
    """Yield what each linear piece of q takes into a segment."""
    low, high = (end / 2 for end in segment)
    if high < 0:
        return
    if low <= 0:
        # The last ReLU takes all negative numbers to 0.
        low = -math.inf
    kinks = sorted({-biases[0], *(Fraction(i - b) / 2 for i, b in enumerate(biases[1:-1], 1))})
    # Left of the first kink all hidden units are 0; right of the last one all are linear.
    ends: list[Number] = [-math.inf, *kinks, math.inf]
    for left, right in pairwise(ends):
        near = Fraction(right) - 1 if left == -math.inf else Fraction(left)
        far = near + 1 if right == math.inf else Fraction(right)
        value = _teeth(near, biases)
        slope = (_teeth(far, biases) - value) / (far - near)
        if slope:
            one, other = (near + (end - value) / slope for end in (low, high))
            start, end = max(left, min(one, other)), min(right, max(one, other))
            if start <= end:
                yield start, end
        elif low <= value <= high:
            yield left, right


def _merged(intervals: Iterable[Interval]) -> list[Interval]:
    """Return the union of closed intervals as its components."""
    found: list[Interval] = []
    for start, end in sorted(intervals):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return found
