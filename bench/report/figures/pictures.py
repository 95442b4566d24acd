"""Which bands make a picture: one for each combination of the axes that a figure leaves out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.report.figures.bands import Band
from bench.spec.cell import SEED, Scalar
from bench.spec.figure import Figure
from bench.spec.suite import Suite

# More would be scaled down until nobody can read them.
COLUMNS = 3


@dataclass(frozen=True)
class Picture:
    """Bands that are drawn together.

    Attributes
    ----------
    key
        Axis to value, of the axes that vary between a figure's pictures.
    columns
        Values of the figure's column axis, from left to right; one None where it has no such
        axis.
    """

    figure: Figure
    key: Mapping[str, Scalar]
    columns: tuple[Scalar | None, ...]
    bands: tuple[Band, ...]

    def panel(self, curve: str, column: Scalar | None) -> list[Band]:
        """Return the bands of one panel."""
        axis = self.figure.columns
        return [
            band
            for band in self.bands
            if band.curve == curve and (axis is None or band.where[axis] == column)
        ]

    def lines(self) -> tuple[Scalar, ...]:
        """Return the values that have a line, in the order of first appearance."""
        return tuple(dict.fromkeys(band.where[self.figure.lines] for band in self.bands))


def pictures(bands: Sequence[Band], figure: Figure, suite: Suite) -> list[Picture]:
    """Return the pictures of a figure; none where there is no band.

    Nothing is averaged but seeds: an axis that the figure does not mention and that varies makes
    a picture for each of its values. More than ``COLUMNS`` columns are continued in another.
    """
    named = {SEED, figure.lines, figure.columns}
    left_out = [
        axis
        for axis in suite.axes
        if axis not in named and len({band.where[axis] for band in bands}) > 1
    ]
    groups: dict[tuple[Scalar, ...], list[Band]] = {}
    for band in bands:
        groups.setdefault(tuple(band.where[axis] for axis in left_out), []).append(band)
    return [
        Picture(figure, dict(zip(left_out, values, strict=True)), columns, tuple(own))
        for values, group in groups.items()
        for columns, own in _columns(group, figure.columns)
    ]


def _columns(
    bands: Sequence[Band], axis: str | None
) -> list[tuple[tuple[Scalar | None, ...], list[Band]]]:
    if axis is None:
        return [((None,), list(bands))]
    values = list(dict.fromkeys(band.where[axis] for band in bands))
    chunks = [tuple(values[i : i + COLUMNS]) for i in range(0, len(values), COLUMNS)]
    return [(chunk, [b for b in bands if b.where[axis] in chunk]) for chunk in chunks]
