"""The published verdicts, computed again as a stranger would.

From ``docs/claims.md``, the CSV of the compared values and the page's JSON alone: nothing of the
project is imported, so that a mistake in it is not made twice.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections import defaultdict
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

BOARDS = Path(__file__).parents[2] / "leaderboards"
LEVEL = 0.025
# From so many values on flipping signs can reach the level; up to so many all are counted.
FLIPS_FROM, COUNTED, DRAWN_FROM = 6, 15, 30
TESTED = ("supported", "refuted", "undecided")


def pages() -> list[Path]:
    """Pages on which a claim was tested."""
    found = []
    for file in sorted(BOARDS.glob("*/*.json")):
        counts = json.loads(file.read_text(encoding="utf-8")).get("claims", {})
        if any(counts.get(outcome) for outcome in TESTED):
            found.append(file.with_suffix(".md"))
    return found


def values_of(page: Path) -> dict[tuple[str, str], dict[str, list[float]]]:
    """Claim and reading to comparison to its values, seed by seed; nan where one is undefined."""
    found: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with page.with_suffix(".claims.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found[row["claim"], row["reading"]][row["comparison"]].append(
                float(row["value"] or "nan")
            )
    return found


def verdicts_of(page: Path) -> list[dict[str, Any]]:
    return json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))["verdicts"]


def plain(value: object) -> object:
    """A value of an axis, alike from CSV and from JSON."""
    try:
        return float(str(value))
    except ValueError:
        return str(value)


def cells_of(page: Path, claim: dict[str, Any]) -> dict[tuple[tuple[str, object], ...], Any]:
    """Each place's values by seed, from the CSV of all cells, in the claim's unit."""
    scale = 100.0 if claim["unit"] == "%" else 1.0
    found: dict[tuple[tuple[str, object], ...], Any] = defaultdict(dict)
    with page.with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            axes = list(row)[: list(row).index("cell")]
            place = tuple((a, plain(row[a])) for a in axes if a != "seed")
            # One metric, or a difference of two.
            own, *less = (row[metric] for metric in claim["metric"].split(" - "))
            if own and all(less):
                found[place][row["seed"]] = scale * (float(own) - sum(map(float, less)))
    return found


def signed_values(contrast: dict[str, Any]) -> list[list[tuple[float, object]]]:
    """Each pair of a contrast as signed values; the treated one, which is positive, first."""
    off = contrast["less"] or [None] * len(contrast["pairs"])
    return [
        [(1.0, plain(treated)), (-1.0, plain(base))]
        + ([(-1.0, plain(taken[0])), (1.0, plain(taken[1]))] if taken else [])
        for (treated, base), taken in zip(contrast["pairs"], off, strict=True)
    ]


def differences_of(page: Path, claim: dict[str, Any]) -> list[dict[str, float]]:
    """A claim's comparisons as values by seed, from the cells alone."""
    cells = cells_of(page, claim)
    axes = [contrast["axis"] for contrast in claim["compare"]]
    kept = [i for i, axis in enumerate(axes) if axis not in claim["mean_over"]]
    groups: dict[object, list[list[tuple[float, dict[str, float]]]]] = defaultdict(list)
    for place in map(dict, cells):
        if any(place[a] not in map(plain, values) for a, values in claim["where"].items()):
            continue
        left = [(a, v) for a, v in place.items() if a not in (*axes, *claim["mean_over"])]
        for chosen in product(*map(signed_values, claim["compare"])):
            if any(place[a] != own[0][1] for a, own in zip(axes, chosen, strict=True)):
                continue
            terms = []
            for corner in product(*chosen):
                sides = zip(axes, (value for _, value in corner), strict=True)
                at = tuple({**place, **dict(sides)}.items())
                terms.append((math.prod(sign for sign, _ in corner), cells.get(at)))
            if all(values is not None for _, values in terms):
                name = () if claim["of"] == "mean" else (*left, *(str(chosen[i]) for i in kept))
                groups[name].append(terms)
    return [mean_of(units) for units in groups.values()]


def mean_of(units: list[list[tuple[float, dict[str, float]]]]) -> dict[str, float]:
    """The mean of sums at each seed that all of them have."""
    terms = [(sign / len(units), values) for unit in units for sign, values in unit]
    seeds = [seed for seed in terms[0][1] if all(seed in values for _, values in terms)]
    return {s: math.fsum(weight * values[s] for weight, values in terms) for s in seeds}


def readings_of(claim: dict[str, Any]) -> list[dict[str, Any]]:
    """The claim as it is read, and as it might have been, as far as each was tested."""
    every = [claim, *claim["readings"]]
    return [each for each in every if each["verdict"] in TESTED and each["sequential"] is None]


@cache
def signs(n: int) -> np.ndarray:
    """All ``(2^n, n)`` patterns of ±1."""
    return 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)


def flips(x: np.ndarray, near: float) -> float:
    """The share of all sign patterns whose sum is at least that of the values as they are."""
    if len(x) <= COUNTED:
        return float((signs(len(x)) @ x >= x.sum() - near).mean())
    # Every pattern is one of a first half with one of the rest.
    half = len(x) // 2
    first, rest = (np.sort(signs(len(part)) @ part) for part in (x[:half], x[half:]))
    reached = len(rest) - np.searchsorted(rest, x.sum() - near - first)
    return float(reached.mean()) / len(rest)


def tails(x: np.ndarray, bound: float) -> tuple[float, float]:
    """One-sided p of "above the bound" and of "below the bound"."""
    x = np.where(np.isclose(x, bound, rtol=1e-12, atol=0), bound, x) - bound
    near = 1e-12 * np.abs(x).sum()
    flipped = [flips(side * x, near) for side in (1, -1)]
    if np.ptp(x) <= near:
        mean = x.mean()
        least = 2.0 ** -len(x)
        by_t = [least if side * mean > 0 else 1.0 for side in (1, -1)]
    else:
        by_t = [stats.ttest_1samp(x, 0, alternative=side).pvalue for side in ("greater", "less")]
    if len(x) < FLIPS_FROM:
        return by_t[0], by_t[1]
    return max(by_t[0], flipped[0]), max(by_t[1], flipped[1])


def p_values(x: np.ndarray, claim: dict[str, Any]) -> tuple[float, float]:
    """p for what a claim expects of one comparison, and against it."""
    number, by = claim["number"] or 0.0, claim["by"]
    if claim["expect"] == "equal":
        low, high = tails(x, number - by), tails(x, number + by)
        return max(low[0], high[1]), min(1.0, high[0] + low[0], low[1] + high[1])
    side = 0 if claim["expect"] == "greater" else 1
    sign = 1 if side == 0 else -1
    wanted = tails(x, number + sign * by)[side]
    refuting = number + sign * (by if claim["matters"] is None else claim["matters"])
    return wanted, tails(x, refuting)[1 - side]


def below_by_t(x: np.ndarray, claim: dict[str, Any]) -> bool:
    """Whether t alone, without any correction, puts a comparison on the refuted side."""
    if claim["expect"] == "equal" or np.ptp(x) <= 1e-12 * np.abs(x).sum():
        return p_values(x, claim)[1] <= LEVEL
    greater = claim["expect"] == "greater"
    sign = 1 if greater else -1
    bound = (claim["number"] or 0.0) + sign * (claim["matters"] or claim["by"])
    against = "less" if greater else "greater"
    return bool(stats.ttest_1samp(x, bound, alternative=against).pvalue <= LEVEL)


def corrected(p: list[float]) -> list[float]:
    """Holm's correction."""
    found, largest = [0.0] * len(p), 0.0
    for rank, i in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        largest = max(largest, min(1.0, (len(p) - rank) * p[i]))
        found[i] = largest
    return found


def verdict_of(samples: list[np.ndarray], claim: dict[str, Any]) -> tuple[str, int, float]:
    """The verdict, how many comparisons hold, and the p of support."""
    quorum = {"each": None, "mean": None, "most": len(samples) // 2 + 1}
    of = claim["of"]
    needed = of["at-least"] if isinstance(of, dict) else quorum[of]
    support, against = zip(*(p_values(x, claim) for x in samples), strict=True)
    own = list(support) if needed is None else corrected(list(support))
    if claim["matters"] is not None:
        own = [1.0 if below_by_t(x, claim) else p for p, x in zip(own, samples, strict=True)]
    holds = [p <= LEVEL for p in own]
    fails = [p <= LEVEL for p in corrected(list(against))]
    needed = len(samples) if needed is None else needed
    p = sorted(own)[needed - 1]
    if sum(fails) > len(samples) - needed:
        return "refuted", sum(holds), p
    return ("supported" if sum(holds) >= needed else "undecided"), sum(holds), p


def test_there_are_pages_to_check() -> None:
    assert any(verdict for page in pages() for verdict in verdicts_of(page))


@pytest.mark.parametrize("page", pages(), ids=lambda page: f"{page.parent.name}/{page.stem}")
class TestPage:
    def test_every_verdict_is_that_of_the_published_values(self, page: Path) -> None:
        values, checked = values_of(page), 0
        for claim in verdicts_of(page):
            for read in readings_of(claim):
                samples = [np.array(x) for x in values[claim["id"], read["reading"]].values()]
                if any(np.isnan(x).any() for x in samples):
                    # A mean over the seeds that have a value would favour whoever has few.
                    assert read["verdict"] == "undecided"
                    continue
                outcome, holding, p = verdict_of(samples, claim)
                name = (claim["id"], read["reading"])
                assert (name, outcome) == (name, read["verdict"])
                # Of more than 30 seeds the page's own flips are 99,999, drawn at random.
                rel = 1e-6 if max(map(len, samples)) <= DRAWN_FROM else 0.05
                assert (name, read["p_support"]) == (name, pytest.approx(p, rel=rel, abs=1e-12))
                assert holding == sum(each["holds"] for each in read["comparisons"]), name
                checked += 1
        assert checked

    def test_what_is_compared_of_metrics_is_that_of_the_cells(self, page: Path) -> None:
        values = values_of(page)
        for claim in verdicts_of(page):
            # Curves are not in the CSV of the cells.
            if claim["verdict"] in TESTED and not claim["reading"]:
                published = values[claim["id"], ""].values()
                expected = [list(each.values()) for each in differences_of(page, claim)]
                assert len(published) == len(expected), claim["id"]
                for own, cells in zip(published, expected, strict=True):
                    assert own == pytest.approx(cells, abs=1e-9), claim["id"]

    def test_every_mean_and_interval_is_that_of_the_published_values(self, page: Path) -> None:
        values = values_of(page)
        for claim in verdicts_of(page):
            for read in readings_of(claim):
                own = values[claim["id"], read["reading"]]
                assert list(own) == [each["name"] for each in read["comparisons"]]
                for each in read["comparisons"]:
                    x = np.array(own[each["name"]])
                    if "mean" not in each:
                        # Undefined at a seed, here or in another comparison of the claim.
                        assert read["verdict"] == "undecided"
                        assert any(np.isnan(each).any() for each in own.values())
                        continue
                    assert (len(x), each["mean"]) == (each["n"], pytest.approx(x.mean(), abs=1e-9))
                    if each["low"] is None:
                        assert np.ptp(x) <= 1e-9 * max(1.0, np.abs(x).max())
                        continue
                    low, high = stats.t.interval(0.95, len(x) - 1, x.mean(), stats.sem(x))
                    expected = pytest.approx((low, high), rel=1e-9, abs=1e-9)
                    assert (each["low"], each["high"]) == expected

    def test_the_page_shows_these_verdicts_and_intervals(self, page: Path) -> None:
        text = page.read_text(encoding="utf-8").replace("\\", "").replace("−", "-")
        lines = [line for line in text.splitlines() if line.startswith("|")]
        values = values_of(page)
        for claim in verdicts_of(page):
            rows = [line for line in lines if f"`{claim['id']}`" in line]
            if claim["verdict"] not in TESTED:
                assert all(f"**{outcome}" not in row for row in rows for outcome in TESTED)
                continue
            summary, *each_row = rows
            assert f"**{claim['verdict']}" in summary
            assert len(each_row) == len(claim["comparisons"])
            for row, (name, own) in zip(
                each_row, values[claim["id"], claim["reading"]].items(), strict=True
            ):
                assert re.search(rf"\| {re.escape(name.replace('−', '-'))} +\|", row)
                shown = re.search(r"\| +[+]?(-?[\d.]+) ± ([\d.]+) \|", row)
                if shown is None:
                    assert np.ptp(own) <= 1e-9 * max(1.0, np.abs(own).max())
                    continue
                half = stats.sem(own) * stats.t.ppf(0.975, len(own) - 1)
                for number, expected in zip(shown.groups(), (np.mean(own), half), strict=True):
                    decimals = len(number.partition(".")[2])
                    assert float(number) == pytest.approx(expected, abs=0.5001 * 10**-decimals)

    def test_what_a_reader_needs_to_do_this_is_on_the_page(self, page: Path) -> None:
        text = page.read_text(encoding="utf-8")
        assert f"](<{page.stem}.claims.csv>)" in text
        for claim in verdicts_of(page):
            if claim["verdict"] in TESTED:
                assert claim["form"]
                assert math.isfinite(claim["by"])
                assert f"- `{claim['id']}`\n" in text
