"""A claim's comparisons with what the records have of each, seed by seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import pandas as pd

from bench.report.frame import frame_csv
from bench.report.numbers import plural, portion
from bench.report.results import Entry
from bench.report.tables.layout import label
from bench.spec.claims import Claim, ValuePair
from bench.spec.comparisons import Comparison
from bench.spec.recipe import Scalar
from bench.spec.suite import Suite
from bench.stats.sample import total


@dataclass(frozen=True)
class Compared:
    """One comparison of a claim.

    Attributes
    ----------
    name
        What is compared, and where, by the suite's labels.
    values
        Seed to value or difference, in the claim's unit; the seeds that all its cells have.
    expected
        How many seeds are planned; with further seeds, those too.
    terms
        ``(weight, place)`` of each value that it is a sum of.
    undefined
        Seed to whose value is undefined there, and why.
    """

    name: str
    values: Mapping[Scalar, float]
    expected: int
    terms: tuple[tuple[float, Mapping[str, Scalar]], ...] = ()
    undefined: Mapping[Scalar, str] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """How many seeds it is of."""
        return len(self.values)


def compared_values(
    asked: Sequence[Comparison], entries: Sequence[Entry], suite: Suite
) -> tuple[Compared, ...]:
    """Return comparisons with their values, in order; ``entries`` are those they index."""
    names = comparison_names(asked, partial(label, suite))
    if len(set(names)) < len(names):
        # Labels may be alike where values are not.
        names = comparison_names(asked, lambda _, value: str(value))
    shown = partial(label, suite)
    return tuple(_compared(c, entries, name, shown) for c, name in zip(asked, names, strict=True))


def undefined_text(claim: Claim, compared: Sequence[Compared]) -> str:
    """Return at which seeds a value is undefined, with the first's reason; empty where at none."""
    lacking = [each for each in compared if each.undefined]
    if not lacking or claim.at is None:
        return ""
    first, expected = lacking[0], lacking[0].expected
    seed, why = next(iter(first.undefined.items()))
    text = f"undefined ({claim.at.name}) at {portion(len(first.undefined), expected)} seeds of "
    text += f"{first.name}: at seed {seed} {why}"
    more = len(lacking) - 1
    return f"{text}; and in {plural(more, 'other comparison')}" if more else text


def _compared(
    comparison: Comparison,
    entries: Sequence[Entry],
    name: str,
    shown: Callable[[str, Scalar], str],
) -> Compared:
    parts = [(weight, entries[i]) for weight, i in comparison.terms]
    seeds = [s for s in parts[0][1].values if all(s in entry.values for _, entry in parts)]
    return Compared(
        name,
        {s: total([weight * entry.values[s] for weight, entry in parts]) for s in seeds},
        min(entry.expected for _, entry in parts),
        tuple((weight, entry.where) for weight, entry in parts),
        _undefined([entry for _, entry in parts], shown),
    )


def _undefined(entries: Sequence[Entry], shown: Callable[[str, Scalar], str]) -> dict[Scalar, str]:
    varying = [a for a in entries[0].where if len({entry.where[a] for entry in entries}) > 1]
    found: dict[Scalar, str] = {}
    for entry in entries:
        name = ", ".join(shown(axis, entry.where[axis]) for axis in varying) or "the curve"
        for seed, why in entry.undefined.items():
            found.setdefault(seed, f"{name} {why}")
    return found


def comparison_names(asked: Sequence[Comparison], shown: Callable[[str, Scalar], str]) -> list[str]:
    """Return each comparison's name: the axes that differ between them, then what is compared.

    ``shown`` is how a value of an axis is written.
    """
    axes = list(asked[0].where)
    varying = [a for a in axes if len({c.where.get(a) for c in asked}) > 1]
    names = []
    for comparison in asked:
        place = [shown(axis, comparison.where[axis]) for axis in varying]
        pairs = [difference_name(axis, own, shown) for axis, own in comparison.pairs.items()]
        names.append(", ".join([*place, *pairs]) or "mean")
    return names


def difference_name(
    axis: str, pairs: Sequence[ValuePair], shown: Callable[[str, Scalar], str]
) -> str:
    """Return the name of a pair's difference, less that of another where there is one."""
    own = [f"{shown(axis, treated)} − {shown(axis, base)}" for treated, base in pairs]
    return own[0] if len(own) == 1 else " − ".join(f"({each})" for each in own)


def comparisons_csv(rows: Sequence[tuple[str, str, Sequence[Compared]]]) -> str:
    """Return every comparison's value at every seed as CSV, one row a value.

    Parameters
    ----------
    rows
        A claim's id, what is taken of its curve (empty where it compares no curve), and its
        comparisons.

    Returns
    -------
    str
        Columns ``claim``, ``reading``, ``comparison``, ``seed``, ``value``: the value or difference
        itself, in the claim's unit (points for percentages), no margin or number taken off; empty
        where it is undefined.
    """
    columns = ["claim", "reading", "comparison", "seed", "value"]
    data = [
        (claim, reading, each.name, seed, value)
        for claim, reading, compared in rows
        for each in compared
        for seed, value in {**each.values, **dict.fromkeys(each.undefined)}.items()
    ]
    return frame_csv(pd.DataFrame(data, columns=columns))
