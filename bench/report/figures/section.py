"""The figures of curves on a page: their pictures, what they show, and what they leave out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.report import markdown
from bench.report.figures.bands import Band, curve_bands, curves_csv
from bench.report.figures.curve_figure import POINTS, curve_svg, line_label, points_scale
from bench.report.figures.pictures import Picture, pictures
from bench.report.numbers import plural, portion
from bench.report.results import Results
from bench.report.tables.layout import label
from bench.spec.expand import Plan
from bench.spec.figure import Figure
from bench.spec.suite import Suite

# Beyond this a list of lines says less than their number.
LISTED = 6


@dataclass(frozen=True)
class Drawing:
    """A figure of a suite with its pictures: file name to picture."""

    figure: Figure
    pictures: Mapping[str, Picture]


def draw_figures(results: Results, stem: str) -> list[Drawing]:
    """Return the suite's figures; pictures are numbered through: ``STEM-1.svg``, …"""
    drawings: list[Drawing] = []
    suite = results.plan.suite
    for figure in suite.figures:
        found = pictures(curve_bands(results, figure), figure, suite)
        first = 1 + sum(len(drawing.pictures) for drawing in drawings)
        named = {f"{stem}-{first + i}.svg": picture for i, picture in enumerate(found)}
        drawings.append(Drawing(figure, named))
    return drawings


def curve_svgs(drawings: Sequence[Drawing], plan: Plan) -> dict[str, str]:
    """Return file name to SVG, of every picture."""
    return {name: curve_svg(p, plan) for d in drawings for name, p in d.pictures.items()}


def curve_numbers(drawings: Sequence[Drawing], suite: Suite) -> str | None:
    """Return the numbers of all pictures as CSV; None where there is none."""
    bands = [band for d in drawings for p in d.pictures.values() for band in p.bands]
    return curves_csv(bands, suite.axes) if bands else None


def curve_section(drawings: Sequence[Drawing], plan: Plan, csv: str) -> str:
    """Return the section of the suite's figures; empty where it has none."""
    if not drawings:
        return ""
    parts = ["## Figures"]
    for drawing in drawings:
        title = markdown.escape(drawing.figure.title)
        parts.append(f"### {title}")
        parts += [f"![{title}](<{name}>)" for name in drawing.pictures]
        parts.append(caption(drawing, plan))
    if any(drawing.pictures for drawing in drawings):
        parts.append(f"The figures' numbers at every step, as recorded: {markdown.link(csv, csv)}.")
    return "\n\n".join(parts)


def caption(drawing: Drawing, plan: Plan) -> str:
    """Return what a figure's lines and bands are, and what it leaves out."""
    figure, bands = drawing.figure, [b for p in drawing.pictures.values() for b in p.bands]
    arranged = f"Arranged as {markdown.escape(figure.source)}. " if figure.source else ""
    if not bands:
        drawn = any(figure.selects(p.labels) for p in plan.shown)
        why = "No record has these curves yet" if drawn else "No cell of this profile belongs to it"
        return f"{arranged}{why}."
    texts = [_what_lines_are(figure, bands)]
    if points_scale(figure, bands[0].axis) == "log":
        texts.append("Steps on a logarithmic scale, linear from 0 to 1.")
    texts += _left_out(figure, bands)
    texts.append(_partial(drawing, plan.suite))
    texts = [text for text in texts if text]
    return arranged + " ".join(texts)


def _what_lines_are(figure: Figure, bands: Sequence[Band]) -> str:
    if figure.seeds is not None:
        seeds = ", ".join(dict.fromkeys(str(band.seed) for band in bands))
        named = f"Seed {seeds}" if "," not in seeds else f"Seeds {seeds}, each a line"
        return f"{named}: no mean, no band."
    numbers = sorted({band.n for band in bands})
    n = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    text = f"Lines: means over seeds, n = {n}"
    if numbers[-1] > 1:
        text += "; bands: 95% intervals (Student's t) of each step by itself"
    return text + ("; one seed has no band." if numbers[0] == 1 else ".")


def _left_out(figure: Figure, bands: Sequence[Band]) -> list[str]:
    uneven = sum(len(band.common) < len(band.at) for band in bands)
    logarithmic = {panel.curve for panel in figure.panels if panel.scale == "log"}
    unseen = sum(
        band.curve in logarithmic and any(band.estimates[i].mean <= 0 for i in band.common)
        for band in bands
    )
    long = any(len(band.common) > POINTS for band in bands)
    return [
        f"{plural(uneven, 'line has', 'lines have')} steps that not every seed has; these are in "
        "the CSV alone." if uneven else "",
        f"{plural(unseen, 'line lacks', 'lines lack')} the steps at which the mean is zero: it has "
        "no place on a logarithmic scale." if unseen else "",
        "Of long curves each stretch's first, last, lowest and highest point are drawn."
        if long else "",
    ]  # fmt: skip


def _partial(drawing: Drawing, suite: Suite) -> str:
    names = list(
        dict.fromkeys(
            _name(band, picture, suite)
            for picture in drawing.pictures.values()
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
