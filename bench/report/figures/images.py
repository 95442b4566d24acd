"""A strip of images: what a network was shown, a column for each value of an axis."""

from __future__ import annotations

import base64
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from bench.report import markdown
from bench.report.figures.drawn import Drawn, arranged, nothing_drawn
from bench.report.figures.heatmap import block_means
from bench.report.figures.png import png
from bench.report.results import Arrays, Results, varying_axes
from bench.report.tables.layout import axis_name, label
from bench.spec.cell import PlannedCell
from bench.spec.figure import Figure
from bench.spec.recipe import Scalar
from bench.spec.suite import Suite

# More columns are continued below.
COLUMNS = 14
# In points: an image's side, what is between two, a line of text, and a letter of it.
_SIDE, _GAP, _LINE, _LETTER = 62.0, 4.0, 13.0, 5.6
_FONT = "font-family: 'DejaVu Sans', sans-serif; font-size: 9px; text-anchor: middle"
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Examples:
    """The images at one place, as one seed saw them: ``(count, h, w, 3)`` by array's name."""

    where: Mapping[str, Scalar]
    seed: Scalar | None
    images: Mapping[str, Sequence[Pixels]]


def draw_images(results: Results, figure: Figure) -> Drawn:
    """Return a figure's strips: a row for each example, a picture for each of the other axes.

    Panels name arrays ``(count, c, h, w)`` of the artifact ``arrays``, in [0, 1]. There is no
    mean of images: those of the first seed that has them are shown.
    """
    plan = results.plan
    found = [
        examples
        for cells in results.places.values()
        if figure.selects(cells[0].place)
        and (examples := _examples(results, figure, cells)) is not None
    ]
    if not found:
        return Drawn((), nothing_drawn(figure, plan, "these images"))
    key = [axis for axis in varying_axes(plan) if axis != figure.columns]
    pictures: dict[tuple[Scalar, ...], list[Examples]] = {}
    for examples in found:
        pictures.setdefault(tuple(examples.where[axis] for axis in key), []).append(examples)
    svgs = [
        _svg(group[first : first + COLUMNS], figure, plan.suite, key)
        for group in pictures.values()
        for first in range(0, len(group), COLUMNS)
    ]
    return Drawn(tuple(svgs), _caption(found, figure))


def _examples(results: Results, figure: Figure, cells: Sequence[PlannedCell]) -> Examples | None:
    for planned in cells:
        if planned.cell.id in results.records:
            arrays = results.arrays(results.records[planned.cell.id])
            names = (panel.curve for panel in figure.panels)
            images = {name: _pixels(arrays[name]) for name in names if _shown(arrays.get(name))}
            if images:
                return Examples(planned.place, planned.seed, images)
    return None


def _shown(array: Arrays | None) -> bool:
    return array is not None and array.ndim == 4 and array.shape[1] in (1, 3)


def _pixels(array: Arrays) -> list[Pixels]:
    """Return images as ``(h, w, 3)`` in 0…255, of at most as many pixels as a map may have."""
    return [
        np.stack(
            [
                np.rint(255 * block_means(np.asarray(plane, np.float64)).clip(0, 1))
                for plane in (image if len(image) == 3 else image.repeat(3, axis=0))
            ],
            axis=-1,
        ).astype(np.uint8)
        for image in array
    ]


def _svg(group: Sequence[Examples], figure: Figure, suite: Suite, key: Sequence[str]) -> str:
    """Return a strip as SVG: written by hand, since nothing is plotted."""
    named = figure.columns
    titles = [[] if named is None else _wrapped(label(suite, named, e.where[named])) for e in group]
    above = ", ".join(label(suite, axis, group[0].where[axis]) for axis in key)
    words = [line for title in titles for line in title]
    pitch = max([_SIDE, *(_LETTER * len(line) for line in words)]) + _GAP
    width = max(pitch * len(group), _LETTER * len(above)) + _GAP
    middles = [width / 2 + pitch * (column - (len(group) - 1) / 2) for column in range(len(group))]
    lines = [_text(width / 2, _LINE, above, bold=True)] if above else []
    y = _LINE if above else 0.0
    for number in range(max(map(len, titles))):
        y += _LINE
        lines += [
            _text(x, y, title[number])
            for x, title in zip(middles, titles, strict=True)
            if number < len(title)
        ]
    for panel in figure.panels:
        if panel.label:
            y += _LINE
            lines.append(_text(width / 2, y, panel.label))
        y += _GAP
        strips = [examples.images.get(panel.curve, ()) for examples in group]
        for row in range(max(map(len, strips))):
            lines += [
                _image(x - _SIDE / 2, y, strip[row])
                for x, strip in zip(middles, strips, strict=True)
                if row < len(strip)
            ]
            y += _SIDE + _GAP
    return "\n".join([*_head(width, y), *lines, "</svg>"]) + "\n"


def _wrapped(title: str) -> list[str]:
    return textwrap.wrap(title, int(_SIDE / _LETTER), break_long_words=False)


def _head(width: float, height: float) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="utf-8" standalone="no"?>'
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="{width:.6g}pt" height="{height:.6g}pt" viewBox="0 0 {width:.6g} {height:.6g}" '
        'version="1.1">'
    )
    yield '<rect width="100%" height="100%" fill="white"/>'


def _text(x: float, y: float, text: str, *, bold: bool = False) -> str:
    weight = "; font-weight: bold" if bold else ""
    return f'<text x="{x:.6g}" y="{y - 3:.6g}" style="{_FONT}{weight}">{escape(text)}</text>'


def _image(x: float, y: float, pixels: Pixels) -> str:
    content = base64.b64encode(png(pixels)).decode()
    return (
        f'<image x="{x:.6g}" y="{y:.6g}" width="{_SIDE:.6g}" height="{_SIDE:.6g}" '
        'preserveAspectRatio="xMidYMid" style="image-rendering: pixelated" '
        f'xlink:href="data:image/png;base64,{content}"/>'
    )


def _caption(found: Sequence[Examples], figure: Figure) -> str:
    seeds = list(dict.fromkeys(str(examples.seed) for examples in found))
    shown = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {', '.join(seeds)}"
    texts = [f"A row an example, as {shown} saw it"]
    if figure.columns is not None:
        texts[0] += f"; a column a value of {markdown.escape(axis_name(figure.columns))}"
    return f"{arranged(figure)}{texts[0]}."
