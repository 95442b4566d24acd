"""How a suite's settings were chosen: each choice's space, budget, result, ties and edges."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from bench.records.record import candidate_of
from bench.report import markdown
from bench.report.choices import Choice, choices, followed_by, tuned_alike
from bench.report.numbers import NOTHING, compact, number, plural
from bench.report.results import Results, varying_axes
from bench.report.setting.tables import SettingTable
from bench.report.tables.layout import axis_name, label
from bench.report.values import metric_unit, unit_scale
from bench.spec.recipe import Scalar
from bench.spec.work import Choose

# Sums of scores have last bits of their own.
_SAME = 1e-9
# More values than these are told by their ends.
_LISTED = 6


def search_section(results: Results) -> str:
    """Return the section of a page; empty where nothing is searched."""
    found = choices(results)
    if not found:
        return ""
    first, *folded = search_tables(results, found)
    shown = markdown.table(first.header, first.rows, left=len(first.header))
    parts = ["## Search", first.caption, shown]
    for each in folded:
        table = markdown.table(each.header, each.rows, left=len(each.header))
        body = "\n\n".join(part for part in (each.caption, table) if part)
        parts.append(markdown.details(each.title, body))
    return "\n\n".join(part for part in parts if part)


def search_tables(results: Results, found: Sequence[Choice] | None = None) -> list[SettingTable]:
    """Return the table of choices, and that of all candidates; none where nothing is searched."""
    found = choices(results) if found is None else found
    if not found:
        return []
    shown = _Shown(results, found)
    header = [*map(axis_name, shown.axes), "tried", "trials", "gradients", "chosen", "score",
              "as good", "at an end of what was tried"]  # fmt: skip
    rows = [shown.row(choice) for choice in found]
    caption = "\n\n".join([_caption(results, found), *warnings(results, found)])
    tables = [SettingTable("Search", caption, header, rows)]
    every = [row for choice in found for row in shown.candidates(choice)]
    if every:
        header = [*map(axis_name, shown.axes), "candidate", "mean score", "diverged trials"]
        tables.append(SettingTable("Every candidate", "", header, every))
    return tables


def warnings(results: Results, found: Sequence[Choice]) -> list[str]:
    """Return what is wrong with choices or with cells by them, as the records themselves say."""
    return [text for text in (otherwise(results, found), unfounded(results, found)) if text]


def unfounded(results: Results, found: Sequence[Choice]) -> str:
    """Return a warning if a choice is not the one that its trials' own records make; or nothing.

    Found here anew, from the metrics of the trials, where all their records are at hand.
    """
    wrong = []
    for choice in found:
        means = _means(results, choice)
        if choice.chosen is not None and means and choice.chosen != _first_best(choice.work, means):
            wrong.append(choice.cell.id)
    if not wrong:
        return ""
    return f"**Not as its trials say**: the choice of {', '.join(wrong)}."


def _means(results: Results, choice: Choice) -> list[tuple[int, float]]:
    """Return how many trials of each candidate diverged, and the mean of the others."""
    found = []
    for candidate in range(len(choice.work.candidates)):
        ids = [choice.cell.parents[role].id for role in choice.work.roles(candidate)]
        if any(cell_id not in results.records for cell_id in ids):
            return []
        scores = [results.records[i].outcome.metrics.get(choice.work.metric) for i in ids]
        known = [score for score in scores if score is not None]
        mean = math.fsum(known) / len(known) if known else math.nan
        found.append((len(scores) - len(known), mean))
    return found


def _first_best(work: Choose, means: Sequence[tuple[int, float]]) -> int | None:
    fewest = min(lost for lost, _ in means)
    sign = 1.0 if work.best == "highest" else -1.0
    alike = {i: sign * mean for i, (lost, mean) in enumerate(means) if lost == fewest}
    best = max(alike.values())
    near = (i for i, mean in alike.items() if best - mean <= work.within + _SAME)
    return next(near, None)


def otherwise(results: Results, found: Sequence[Choice]) -> str:
    """Return a warning if a record was trained by another candidate than was chosen; or nothing.

    The store takes none such for fresh: a page that is made of other records says so itself.
    """
    wrong = [
        planned.cell.id
        for choice in found
        for planned in choice.tuned
        if planned.cell.id in results.records
        and candidate_of(results.records[planned.cell.id].outcome) != choice.chosen
    ]
    if not wrong:
        return ""
    told = ", ".join(wrong[:5]) + (", …" if len(wrong) > 5 else "")
    return (
        f"**Not by this choice**: {plural(len(wrong), 'cell')} of the table were trained by other "
        f"settings than are chosen here ({told})."
    )


def _caption(results: Results, found: Sequence[Choice]) -> str:
    work = found[0].work
    metric = markdown.code(work.metric)
    unit = metric_unit(work.metric)
    rule = f"the {work.best} mean of {metric} over its trials, on training rows that were held out"
    if work.within:
        told = _amount(work.within * unit_scale(unit), unit)
        rule += f"; of those within {told} of it the first in the order of the space"
    else:
        rule += "; of equal ones the first in the order of the space"
    seeds = f"{min(work.seeds):,}" if len(work.seeds) == 1 else (
        f"{min(work.seeds):,} to {max(work.seeds):,}")  # fmt: skip
    after = (
        "Intervals and verdicts are for the settings that were chosen: another search might choose "
        "others."
    )
    alike = [followed_by(results, found), f"{tuned_alike(found, results.plan.gradients)} {after}"]
    parts = (
        f"Chosen is {rule}.",
        "A trial is a training that tries one candidate. One that diverged is worse than any "
        f"score. Trials have seeds of their own ({seeds}), and score no test split."
        f"{_where(results)}",
        *alike,
    )
    return "\n\n".join(part.strip() for part in parts if part.strip())


def _where(results: Results) -> str:
    """Return at which of the table's values alone trials are; empty where at all."""
    suite = results.plan.suite
    there = {a: {p.place.get(a) for p in results.plan.shown} for a in suite.trials_at}
    told = [
        f"{axis_name(axis)} "
        + " or ".join(markdown.escape(label(suite, axis, v)) for v in values if v in there[axis])
        for axis, values in suite.trials_at.items()
    ]
    return f" They are at {', '.join(told)} alone." if told else ""


def _amount(value: float, unit: str) -> str:
    points = "point" if value == 1 else "points"
    return f"{compact(value)} {points}" if unit == "%" else f"{compact(value)} {unit}".strip()


class _Shown:
    """Choices as rows of tables."""

    def __init__(self, results: Results, found: Sequence[Choice]) -> None:
        self._suite = results.plan.suite
        varying = varying_axes(results.plan)
        self.axes = [axis for axis in varying if any(axis in c.where(varying) for c in found)]

    def row(self, choice: Choice) -> list[str]:
        """Return a choice: what was tried, what it cost, what was chosen."""
        work, tuning = choice.work, choice.tuning
        row = [*self._place(choice), _tried(work), _trials(work, tuning.trials)]
        row.append(NOTHING if tuning.gradients is None else f"{tuning.gradients:,}")
        record, chosen = choice.record, choice.chosen
        if record is None or chosen is None:
            return [*row, "not done", NOTHING, NOTHING, NOTHING]
        tied = int(record.outcome.metrics["choice/tied"])
        return [
            *row,
            _values(work.candidates[chosen]),
            self._score(work, record.outcome.metrics["choice/score"]),
            "it alone" if tied == 1 else f"{tied} of {len(work.candidates)}",
            ends(work.candidates, chosen) or "no",
        ]

    def candidates(self, choice: Choice) -> Iterator[list[str]]:
        """Yield each candidate of a choice that is done."""
        if choice.record is None:
            return
        curves = choice.record.outcome.curves
        means, lost = curves["choice/score"].value, curves["choice/diverged"].value
        for i, values in enumerate(choice.work.candidates):
            told = _values(values)
            yield [
                *self._place(choice),
                f"**{told}**" if i == choice.chosen else told,
                self._score(choice.work, means[i]) if means[i] == means[i] else NOTHING,
                f"{lost[i]:g}" if lost[i] else "",
            ]

    def _place(self, choice: Choice) -> list[str]:
        where = choice.where(self.axes)
        return [
            markdown.escape(label(self._suite, axis, where[axis])) if axis in where else "all"
            for axis in self.axes
        ]

    def _score(self, work: Choose, value: float) -> str:
        unit = metric_unit(work.metric)
        return number(value * unit_scale(unit), 2) + ("%" if unit == "%" else "")


def _tried(work: Choose) -> str:
    told = []
    for axis in work.candidates[0]:
        values = list(dict.fromkeys(values[axis] for values in work.candidates))
        numbers = _numbers(values)
        if len(values) > _LISTED and numbers:
            listed = f"{len(values)} from {compact(min(numbers))} to {compact(max(numbers))}"
        else:
            listed = ", ".join(map(_value, values))
        told.append(f"{markdown.escape(axis_name(axis))}: {listed}")
    return "; ".join(told)


def _trials(work: Choose, trials: int) -> str:
    places = len(work.places)
    at = f" × {plural(places, 'place')}" if places > 1 else ""
    return f"{trials:,} = {len(work.candidates)}{at} × {plural(len(work.seeds), 'seed')}"


def ends(candidates: Sequence[Mapping[str, Scalar]], chosen: int) -> str:
    """Return at which ends of what was tried a chosen candidate lies; empty where at none.

    An axis whose values rise and fall with another's is not told twice.

    >>> rates = [{"lr": rate, "slow": rate / 10} for rate in (0.01, 0.1, 1.0)]
    >>> ends(rates, 2), ends(rates, 1)
    ('largest lr', '')
    """
    told, seen = [], []
    for axis in candidates[0]:
        numbers = _numbers([values[axis] for values in candidates])
        if not numbers or len(set(numbers)) < 2:
            continue
        ranks = [sorted(set(numbers)).index(value) for value in numbers]
        if ranks in seen:
            continue
        seen.append(ranks)
        if numbers[chosen] in (min(numbers), max(numbers)):
            side = "smallest" if numbers[chosen] == min(numbers) else "largest"
            told.append(f"{side} {markdown.escape(axis_name(axis))}")
    return ", ".join(told)


def _numbers(values: Sequence[Scalar]) -> list[float]:
    """Return values as numbers; none where one is a word or a truth value."""
    if any(isinstance(value, str | bool) for value in values):
        return []
    return [float(value) for value in values]


def _values(values: Mapping[str, Scalar]) -> str:
    return ", ".join(
        f"{markdown.escape(axis_name(axis))} {_value(value)}" for axis, value in values.items()
    )


def _value(value: Scalar) -> str:
    if isinstance(value, bool | str):
        return markdown.escape(value)
    return compact(float(value))
