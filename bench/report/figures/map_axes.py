"""What stands at and in a map: names of its rows and columns, and the values of a small one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from numpy.typing import NDArray

from bench.report.figures.style import plain
from bench.report.results import Arrays

# Up to so many rows and columns their values can be read in the map.
WRITTEN = 12
# In inches: the side of a cell with its value, of one beside its name, a letter, the largest map.
_CELL, _LINE, _LETTER, _LARGEST = 0.34, 0.14, 0.055, 5.5
_LETTERS = 24
_SMALL = 6.5
Map = NDArray[np.float64]


@dataclass(frozen=True)
class Names:
    """Names of a map's rows and columns; none where nothing was left of them."""

    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()

    @property
    def written(self) -> bool:
        """Whether the map's values are written into it."""
        return 0 < max(len(self.rows), len(self.columns)) <= WRITTEN

    @property
    def room(self) -> tuple[float, float]:
        """How many inches names need at the left, and below."""
        longest = (max(map(len, map(_short, own)), default=0) for own in (self.rows, self.columns))
        beside, below = (_LETTER * letters for letters in longest)
        return beside, below

    def side(self, least: float) -> float:
        """Return how many inches of a map's side its names need, at least so many."""
        cell = _CELL if self.written else _LINE
        return min(max(least, cell * max(len(self.rows), len(self.columns))), _LARGEST)


def names_of(arrays: Mapping[str, Arrays], name: str) -> Names:
    """Return the names that a measurement left of an array's rows and columns.

    They are the arrays ``NAME/rows`` and ``NAME/columns``, as `bench.parts.array_names` makes
    them; those that are not as many as rows or columns are not its names.
    """
    found = [_read(arrays.get(f"{name}/{side}")) for side in ("rows", "columns")]
    shape = arrays[name].shape
    rows, columns = (own if len(own) == n else () for own, n in zip(found, shape, strict=True))
    return Names(rows, columns)


def _read(array: Arrays | None) -> tuple[str, ...]:
    if array is None or array.dtype != np.uint8:
        return ()
    return tuple(array.tobytes().decode(errors="replace").split("\n"))


def name_ticks(axes: Any, shape: tuple[int, ...], names: Names, side: float) -> None:
    """Write names at rows and columns: every one, or as many as fit on so many inches.

    A map of means of blocks has fewer rows than names: each stands where its own row is.
    """
    rows, columns = (
        [(k * size / len(own), plain(_short(name))) for k, name in _kept(own, side)]
        for own, size in zip((names.rows, names.columns), shape, strict=True)
    )
    look: dict[str, Any] = {"fontsize": _SMALL}
    axes.set_yticks([at for at, _ in rows], [name for _, name in rows], **look)
    axes.set_xticks([at for at, _ in columns], [name for _, name in columns], rotation=90, **look)
    axes.tick_params(length=2 if names.rows or names.columns else 0)


def _kept(names: tuple[str, ...], side: float) -> list[tuple[float, str]]:
    each = max(1, -(-len(names) // max(1, int(side / (_LINE * 0.9)))))
    return [(k + 0.5, names[k]) for k in range(0, len(names), each)]


def _short(name: str) -> str:
    # The end of a path says more than its beginning.
    return name if len(name) <= _LETTERS else f"…{name[1 - _LETTERS :].lstrip('.')}"


def write_values(axes: Any, values: Map, drawn: ScalarMappable) -> None:
    """Write each value into its cell, in black or white, whichever is read on its colour."""
    for y, row in enumerate(values):
        for x, value in enumerate(row):
            red, green, blue, _ = drawn.to_rgba(value)
            bright = 0.299 * red + 0.587 * green + 0.114 * blue
            axes.text(
                x + 0.5, y + 0.5, _number(value), ha="center", va="center", fontsize=_SMALL,
                color="black" if bright > 0.5 else "white",
            )  # fmt: skip


def _number(value: float) -> str:
    text = f"{value:.2f}" if abs(value) < 10 else f"{value:.3g}"
    return text.replace("-", "−")
