"""From records' curves to bands: at each point the mean over seeds and its interval."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from bench.records.record import Curve, Record
from bench.report.frame import frame_csv
from bench.report.results import Results
from bench.report.values import curve_of
from bench.spec.cell import SEED, PlannedCell, Scalar
from bench.spec.figure import Figure
from bench.stats.intervals import Estimate, mean_interval


@dataclass(frozen=True)
class Band:
    """A curve at one place: the seeds' mean at each point, or one seed's own values.

    Attributes
    ----------
    where
        Axis to value, for every axis but the seed.
    curve
        Name of the curve, in the records' unit (fractions, nats, norms).
    seed
        The seed whose values these are; None for the mean over seeds.
    n, expected
        How many seeds have the curve, and how many are planned.
    axis
        What the curve runs over: ``step``, or any other.
    at
        Every point of it that any seed has, ascending; a point's own n is its estimate's.
    estimates
        Mean and 95% interval (Student's t) of the expected value at each point by itself.
    """

    where: Mapping[str, Scalar]
    curve: str
    seed: Scalar | None
    n: int
    expected: int
    axis: str
    at: tuple[float, ...]
    estimates: tuple[Estimate, ...]

    @property
    def partial(self) -> bool:
        """Whether seeds are missing."""
        return self.n < self.expected

    @cached_property
    def common(self) -> tuple[int, ...]:
        """Positions of the points that every seed with the curve has.

        A mean over other seeds at each point would jump where seeds come and go.
        """
        return tuple(i for i, estimate in enumerate(self.estimates) if estimate.n == self.n)


def curve_bands(results: Results, figure: Figure) -> list[Band]:
    """Return the bands of a figure's curves, panel by panel, in the plan's order.

    Places whose records do not have a curve have no band of it. With ``figure.seeds`` there is
    a band for each of the first seeds instead of their mean.
    """
    drawn = [cells for cells in results.places.values() if figure.selects(cells[0].labels)]
    return [
        band
        for curve in dict.fromkeys(panel.curve for panel in figure.panels)
        for cells in drawn
        for band in _bands(curve, cells, results.records, figure.seeds)
    ]


def _bands(
    name: str, cells: Sequence[PlannedCell], records: Mapping[str, Record], single: int | None
) -> Iterator[Band]:
    where = cells[0].place
    found = [(c.seed, curve_of(records[c.cell.id], name)) for c in cells[:single]
             if c.cell.id in records]  # fmt: skip
    curves = [(seed, curve) for seed, curve in found if curve is not None and curve.at]
    if single is not None:
        for seed, curve in curves:
            yield Band(where, name, seed, 1, 1, curve.axis, *mean_curve([curve]))
    elif curves:
        own = [curve for _, curve in curves]
        yield Band(where, name, None, len(own), len(cells), own[0].axis, *mean_curve(own))


def mean_curve(curves: Sequence[Curve]) -> tuple[tuple[float, ...], tuple[Estimate, ...]]:
    """Return every point of any curve, and at each the estimate over the curves that have it."""
    at: dict[float, list[float]] = {}
    for curve in curves:
        for point, value in dict(zip(curve.at, curve.value, strict=True)).items():
            at.setdefault(point, []).append(value)
    points = tuple(sorted(at))
    return points, tuple(mean_interval(at[point]) for point in points)


def curves_csv(bands: Iterable[Band], axes: Sequence[str]) -> str:
    """Return bands as CSV, one row a point, each band once; what nothing bounds is empty.

    Columns: the axes, ``seed`` (empty for means; only where single seeds are drawn), ``curve``,
    ``step`` (or what else curves run over; where that is several things ``axis`` and ``at``),
    ``n``, ``mean``, ``low``, ``high``, ``sd``, in the records' units.
    """
    named = [axis for axis in axes if axis != SEED]
    once = {(*(b.where[a] for a in named), b.seed, b.curve): b for b in bands}
    single = any(band.seed is not None for band in once.values())
    over = list(dict.fromkeys(band.axis for band in once.values()))
    rows = [
        [
            *place[:-2],
            *([place[-2]] if single else []),
            band.curve,
            *([band.axis] if len(over) > 1 else []),
            point,
            estimate.n,
            estimate.mean,
            *((estimate.low, estimate.high) if estimate.half_width is not None else (None, None)),
            estimate.sd,
        ]
        for place, band in once.items()
        for point, estimate in zip(band.at, band.estimates, strict=True)
    ]
    columns = [*named, *([SEED] if single else [])]
    columns += [
        "curve",
        *(["axis", "at"] if len(over) > 1 else over),
        "n",
        "mean",
        "low",
        "high",
        "sd",
    ]
    # As objects: whole steps stay whole beside others, and an axis may be named as a column is.
    return frame_csv(pd.DataFrame(rows, columns=columns, dtype=object))
