"""The section of a page that has the suite's own figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.report import markdown
from bench.report.figures.bands import Band, curves_csv
from bench.report.figures.kinds import draw
from bench.report.results import Results
from bench.spec.figure import Figure
from bench.spec.suite import Suite

NUMBERS = (
    "The figures' numbers, at each recorded point of each curve: how many seeds have it (n), their "
    "mean, its 95% interval (low, high; Student's t) and their standard deviation (sd), in the "
    "records' units, so that accuracies are fractions. Single seeds are in it where a figure draws "
    "single seeds:"
)


@dataclass(frozen=True)
class Drawing:
    """A figure of a suite with its pictures: file name to SVG."""

    figure: Figure
    svgs: Mapping[str, str]
    caption: str
    bands: tuple[Band, ...]


def draw_figures(results: Results, stem: str) -> list[Drawing]:
    """Return the suite's figures; pictures are numbered through: ``STEM-1.svg``, …"""
    drawings: list[Drawing] = []
    for figure in results.plan.suite.figures:
        drawn = draw(results, figure)
        first = 1 + sum(len(drawing.svgs) for drawing in drawings)
        named = {f"{stem}-{first + i}.svg": svg for i, svg in enumerate(drawn.svgs)}
        drawings.append(Drawing(figure, named, drawn.caption, drawn.bands))
    return drawings


def figure_svgs(drawings: Sequence[Drawing]) -> dict[str, str]:
    """Return file name to SVG, of every picture."""
    return {name: svg for drawing in drawings for name, svg in drawing.svgs.items()}


def curve_numbers(drawings: Sequence[Drawing], suite: Suite) -> str | None:
    """Return the numbers of all curves as CSV; None where there is none."""
    bands = [band for drawing in drawings for band in drawing.bands]
    return curves_csv(bands, suite.axes) if bands else None


def figure_section(drawings: Sequence[Drawing], csv: str) -> str:
    """Return the section of the suite's figures; empty where it has none."""
    if not drawings:
        return ""
    parts = ["## Figures"]
    for drawing in drawings:
        title = markdown.escape(drawing.figure.title)
        parts.append(f"### {title}")
        parts += [f"![{title}](<{name}>)" for name in drawing.svgs]
        parts.append(drawing.caption)
    if any(drawing.bands for drawing in drawings):
        parts.append(f"{NUMBERS} {markdown.link(csv, csv)}.")
    return "\n\n".join(parts)
