"""What a kind of figure gives: pictures, and what they show."""

from __future__ import annotations

from dataclasses import dataclass

from bench.report import markdown
from bench.report.figures.bands import Band
from bench.spec.figure import Figure
from bench.spec.plan import Plan


@dataclass(frozen=True)
class Drawn:
    """A figure's pictures in SVG, and what they show; ``bands`` are the numbers of curves."""

    svgs: tuple[str, ...]
    caption: str
    bands: tuple[Band, ...] = ()


def arranged(figure: Figure) -> str:
    """Return after which figure of the paper one is arranged."""
    return f"Arranged as {markdown.escape(figure.source)}. " if figure.source else ""


def nothing_drawn(figure: Figure, plan: Plan, what: str) -> str:
    """Return why there is no picture."""
    selected = any(figure.selects(planned.place) for planned in plan.shown)
    why = f"No record has {what} yet" if selected else "No cell of this profile belongs to it"
    return f"{arranged(figure)}{why}."
