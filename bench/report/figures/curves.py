"""Figures of curves: their pictures, what they show, and what they leave out."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report import markdown
from bench.report.figures.bands import Band, curve_bands
from bench.report.figures.curve_figure import POINTS, STEP, curve_svg, line_label, points_scale
from bench.report.figures.drawn import Drawn, arranged, nothing_drawn
from bench.report.figures.pictures import Picture, pictures
from bench.report.figures.scales import axis_label
from bench.report.numbers import compact, plural, portion
from bench.report.results import Results
from bench.report.tables.layout import label
from bench.spec.figure import Figure
from bench.spec.plan import Plan
from bench.spec.suite import Suite

# Beyond this a list of lines says less than their number.
LISTED = 6


def draw_curves(results: Results, figure: Figure) -> Drawn:
    """Return a figure's curves: means over seeds with their bands, or single seeds."""
    plan = results.plan
    found = pictures(curve_bands(results, figure), figure, plan.suite)
    bands = tuple(band for picture in found for band in picture.bands)
    svgs = tuple(curve_svg(picture, plan) for picture in found)
    return Drawn(svgs, caption(found, figure, plan), bands)


def caption(found: Sequence[Picture], figure: Figure, plan: Plan) -> str:
    """Return what a figure's lines and bands are, and what it leaves out."""
    bands = [band for picture in found for band in picture.bands]
    if not bands:
        return nothing_drawn(figure, plan, "these curves")
    point = "step" if all(band.axis == STEP for band in bands) else "point"
    texts = [_what_lines_are(figure, bands, point)]
    if points_scale(figure, bands) == "log":
        texts.append(f"{point.capitalize()}s on a logarithmic scale, linear from 0 to 1.")
    if figure.region is not None:
        low, high = map(compact, figure.region)
        texts.append(f"Marked: {axis_label(bands[0].axis)} from {low} to {high}.")
    texts += _left_out(figure, bands, point)
    texts.append(_partial(found, plan.suite))
    texts = [text for text in texts if text]
    return arranged(figure) + " ".join(texts)


def _what_lines_are(figure: Figure, bands: Sequence[Band], point: str) -> str:
    if figure.seeds is not None:
        seeds = ", ".join(dict.fromkeys(str(band.seed) for band in bands))
        named = f"Seed {seeds}" if "," not in seeds else f"Seeds {seeds}, each a line"
        return f"{named}: no mean, no band."
    numbers = sorted({band.n for band in bands})
    n = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    text = f"Lines: means over seeds, n = {n}"
    if numbers[-1] > 1:
        text += f"; bands: 95% intervals (Student's t) of each {point} by itself"
    return text + ("; one seed has no band." if numbers[0] == 1 else ".")


def _left_out(figure: Figure, bands: Sequence[Band], point: str) -> list[str]:
    uneven = sum(len(band.common) < len(band.at) for band in bands)
    logarithmic = {panel.curve for panel in figure.panels if panel.scale == "log"}
    unseen = sum(
        band.curve in logarithmic and any(band.estimates[i].mean <= 0 for i in band.common)
        for band in bands
    )
    long = any(len(band.common) > POINTS for band in bands)
    return [
        f"{plural(uneven, 'line has', 'lines have')} {point}s that not every seed has; these are "
        "in the CSV alone." if uneven else "",
        f"{plural(unseen, 'line lacks', 'lines lack')} the {point}s at which the mean is zero: it "
        "has no place on a logarithmic scale." if unseen else "",
        "Of long curves each stretch's first, last, lowest and highest point are drawn."
        if long else "",
    ]  # fmt: skip


def _partial(found: Sequence[Picture], suite: Suite) -> str:
    names = list(
        dict.fromkeys(
            _name(band, picture, suite)
            for picture in found
            for band in picture.bands
            if band.partial
        )
    )
    if not names:
        return ""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"**Partial**, seeds are missing: {', '.join(names[:LISTED])}{more}."


def _name(band: Band, picture: Picture, suite: Suite) -> str:
    figure = picture.figure
    axes = [*picture.key, *([figure.columns] if figure.columns is not None else [])]
    names = [line_label(figure, suite, band.where[figure.lines])]
    names += [label(suite, axis, band.where[axis]) for axis in axes]
    return f"{markdown.escape(', '.join(names))} ({portion(band.n, band.expected)})"
