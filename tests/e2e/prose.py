"""Numbers in prose, each with the expression that it is the value of.

A number stands behind a comment, which a rendered page does not show::

    falls to <!--= mean("statistics", "source/top1", method="statistics") -->8.1%

Expressions are computed from the CSV files in ``leaderboards/`` alone.
"""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

LEADERBOARDS = Path(__file__).parents[2] / "leaderboards"
_NUMBER = r"[-−+]?\d+(?:,\d{3})*(?:\.\d+)?(?:e-?\d+)?"
_MARKED = re.compile(rf"<!--=\s*(?P<expression>.*?)\s*-->(?P<number>{_NUMBER})", re.S)
# What is no result: code, links, places in the paper, and headings' anchors.
_EXEMPT = re.compile(
    r"```.*?```|`[^`]*`|\]\([^)]*\)|<!--.*?-->"
    r"|(?:sections?|Figures?|Tables?|equations?|Algorithm) \d+(?:\.\d+)*"
    r"(?:(?: to |, | and )\d+(?:\.\d+)*)*",
    re.S,
)
Values = dict[str, float]


@dataclass(frozen=True)
class Interval:
    """Mean of paired differences over seeds, and half of its 95% t interval."""

    mean: float
    half: float

    @property
    def low(self) -> float:
        return self.mean - self.half

    @property
    def high(self) -> float:
        return self.mean + self.half


class Tables:
    """The published numbers of one paper and profile."""

    def __init__(self, paper: str, profile: str = "offline") -> None:
        self._folder = LEADERBOARDS / paper
        self._profile = profile

    def rows(self, suite: str, kind: str = "", **where: object) -> list[dict[str, str]]:
        """Return the rows of a suite's CSV in which the named axes have the given values."""
        path = self._folder / f"{suite}.{self._profile}{kind}.csv"
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        names = {_axis(name, rows[0]): str(value) for name, value in where.items()}
        found = [row for row in rows if all(row[n] == v for n, v in names.items())]
        assert found, f"{path.name} has no row where {where}"
        return found

    def seeds(self, suite: str, metric: str, **where: object) -> Values:
        """Return a metric by seed; one value a seed, or the axes were not all named."""
        rows = self.rows(suite, **where)
        found = {row["seed"]: float(row[metric]) for row in rows}
        assert len(found) == len(rows), f"{suite}: more than one place where {where}"
        return found

    def mean(self, suite: str, metric: str, **where: object) -> float:
        """Return the mean over seeds, a fraction as percent."""
        return _scale(metric) * float(np.mean(list(self.seeds(suite, metric, **where).values())))

    def half(self, suite: str, metric: str, **where: object) -> float:
        """Return half of the mean's 95% interval."""
        values = np.array(list(self.seeds(suite, metric, **where).values()))
        return _scale(metric) * _half(values)

    def sd(self, suite: str, metric: str, **where: object) -> float:
        """Return the standard deviation over seeds."""
        values = list(self.seeds(suite, metric, **where).values())
        return _scale(metric) * float(np.std(values, ddof=1))

    def apart(
        self, suite: str, metric: str, one: dict[str, object], other: dict[str, object],
        **where: object,
    ) -> Interval:  # fmt: skip
        """Return the difference of one place and another, paired by seed."""
        ours, theirs = (self.seeds(suite, metric, **where, **each) for each in (one, other))
        assert ours.keys() == theirs.keys()
        values = _scale(metric) * np.array([ours[s] - theirs[s] for s in ours])
        return Interval(float(values.mean()), _half(values))

    def curve(self, suite: str, curve: str, step: int, **where: object) -> float:
        """Return a curve's mean at a step."""
        (row,) = self.rows(suite, ".curves", curve=curve, step=step, **where)
        return _scale(curve) * float(row["mean"])

    def cells(self, *suites: str) -> int:
        """Return how many different cells the tables of some suites have."""
        return len({row["cell"] for suite in suites for row in self.rows(suite)})

    def compared(self, suite: str, claim: str, comparison: str, reading: str = "") -> Interval:
        """Return a comparison of a claim over seeds, by the claim's own reading if none is named.

        ``comparison`` is a part of its name that no other comparison's has.
        """
        rows = self.rows(suite, ".claims", claim=claim)
        own = reading or rows[0]["reading"]
        found = [r for r in rows if r["reading"] == own and comparison in r["comparison"]]
        assert found, f"{claim} compares nothing with {comparison!r} by {own!r}"
        assert len({row["comparison"] for row in found}) == 1, f"{comparison!r} is several"
        values = np.array([float(row["value"]) for row in found])
        return Interval(float(values.mean()), _half(values))

    def means(self, suite: str, claim: str, reading: str = "") -> list[float]:
        """Return the means over seeds of all comparisons of a claim, sorted."""
        rows = self.rows(suite, ".claims", claim=claim)
        names = {row["comparison"] for row in rows}
        return sorted(
            float(np.mean([
                float(row["value"]) for row in rows
                if row["comparison"] == name and row["reading"] == (reading or rows[0]["reading"])
            ]))
            for name in names
        )  # fmt: skip

    def claims(self, suite: str, verdict: str) -> int:
        """Return how many claims of a suite have a verdict."""
        path = self._folder / f"{suite}.{self._profile}.json"
        page: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return int(page["claims"][verdict])

    def names(self) -> dict[str, Any]:
        """Return what an expression may use."""
        public = ("mean", "half", "sd", "apart", "curve", "cells", "claims", "compared", "means")
        own = {name: getattr(self, name) for name in public}
        return {**own, "abs": abs, "max": max, "min": min}


def _axis(name: str, row: dict[str, str]) -> str:
    """Return the column that a keyword stands for: ``std`` for ``recipe.head_init.normal.std``."""
    if name in row:
        return name
    (found,) = (column for column in row if column.endswith(f".{name}"))
    return found


def _scale(metric: str) -> float:
    plain = (
        "loss", "norm", "distance", "steps", "ended", "gradient", "gradients",
        "trained", "private", "total", "components", "ratio", "cosine",
        "mse", "half_mse", "noisy_half_mse", "min_ade_3s", "min_ade_8s", "min_fde_3s", "min_fde_8s",
        "kappa", "lift",
    )  # fmt: skip
    # By module, or by singular value, these are named after it.
    plainly = (
        "cka/",
        "distance/",
        "criticality/",
        "basin/",
        "spectrum/",
        "ratio/",
        "angle",
        "subspace",
    )
    by_module = metric.startswith(plainly)
    last = metric.rpartition("/")[2]
    return 1.0 if by_module or last in {*plain, "criticality"} else 100.0


def _half(values: np.ndarray) -> float:
    error = values.std(ddof=1) / np.sqrt(len(values))
    return float(stats.t.ppf(0.975, len(values) - 1) * error)


def wrong(text: str, tables: Tables) -> list[str]:
    """Return what is wrong with the marked numbers of a text."""
    found = []
    for match in _MARKED.finditer(text):
        # Text is wrapped anywhere.
        expression, number = " ".join(match["expression"].split()), match["number"]
        value = eval(expression, {"__builtins__": {}}, tables.names())
        if not agrees(number, float(value)):
            found.append(f"{number} is {value:.4f}: {expression}")
    return found


def agrees(number: str, value: float) -> bool:
    """Say whether a number as printed is a value rounded to its own last digit."""
    printed = Decimal(number.replace("−", "-").replace(",", "").lstrip("+"))
    last = Decimal(1).scaleb(int(printed.as_tuple().exponent))
    # Half a unit, and what binary fractions are off by.
    return abs(float(printed) - value) <= 0.5 * float(last) + 1e-9


def unmarked(text: str) -> list[str]:
    """Return the numbers of a text that no expression stands before."""
    rest = _EXEMPT.sub(" ", _MARKED.sub(" ", text))
    return re.findall(rf"(?<![\w.]){_NUMBER}(?!\w)", rest)
