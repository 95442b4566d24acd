"""The kinds of figures by the name that a suite gives: a new kind is its file and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench.errors import SpecError, did_you_mean
from bench.report.figures.curves import draw_curves
from bench.report.figures.drawn import Drawn
from bench.report.figures.heatmap import draw_heatmaps
from bench.report.figures.images import draw_images
from bench.report.figures.points import draw_points
from bench.report.figures.trade_off import draw_trade_offs
from bench.report.figures.valley import draw_valleys
from bench.report.results import Results
from bench.spec.figure import Figure

KINDS: Mapping[str, Callable[[Results, Figure], Drawn]] = {
    "curves": draw_curves,
    "heatmap": draw_heatmaps,
    "images": draw_images,
    "points": draw_points,
    "trade-off": draw_trade_offs,
    "valley": draw_valleys,
}


def draw(results: Results, figure: Figure) -> Drawn:
    """Draw a figure.

    Raises
    ------
    SpecError
        If there is no such kind.
    """
    if figure.kind not in KINDS:
        raise SpecError(
            f"{figure.kind!r} is not a kind of figure",
            file=results.plan.file,
            field="figures",
            remedy=did_you_mean(figure.kind, KINDS),
        )
    return KINDS[figure.kind](results, figure)
