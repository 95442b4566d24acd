"""PROFIT's suites on images: what they share, what a budget makes equal, how rates are chosen."""

from __future__ import annotations

import csv
from collections import defaultdict
from functools import cache
from pathlib import Path
from statistics import mean

import pytest

from bench.spec.cell import Cell
from bench.spec.plan import Plan, load_plan
from bench.spec.work import Train

FOLDER = Path(__file__).parents[2] / "suites" / "profit"
PAGES = Path(__file__).parents[2] / "leaderboards" / "profit"
STARTED = ("old-new", "n-ref", "ratio")
PROFILES = ("paper", "offline", "smoke")


@cache
def planned(suite: str, profile: str = "offline") -> Plan:
    return load_plan(FOLDER / f"{suite}.yaml", profile)


def cells(suite: str, profile: str = "offline", **where: object) -> dict[str, Cell]:
    """Return the cells of a suite's table by their ids."""
    return {
        p.cell.id: p.cell
        for p in planned(suite, profile).shown
        if all(p.labels[axis] == value for axis, value in where.items())
    }


def work(cell: Cell) -> Train:
    assert isinstance(cell.work, Train)
    return cell.work


def gradients(cell: Cell) -> int:
    """Return how many gradients a training takes: one a step, PROFIT n_ref more."""
    update = work(cell).update
    more = update.settings["n_ref"] if update.name == "profit" else 0
    return work(cell).recipe.steps * (1 + more)


@pytest.mark.parametrize("profile", PROFILES)
def test_one_old_network_serves_all_suites_and_is_the_cell_of_table_6(profile: str) -> None:
    shown = cells("old", profile)
    for suite in (*STARTED, "settings")[: None if profile != "paper" else -1]:
        behind = {p.cell.id: p.cell for p in planned(suite, profile).behind}
        old = {i for i, c in behind.items() if work(c).weights == "random"}
        assert old == set(shown), suite


@pytest.mark.parametrize("profile", PROFILES)
def test_all_methods_of_a_seed_start_from_one_head_trained_alone(profile: str) -> None:
    behind = {p.cell.id: p.cell for p in planned("old-new", profile).behind}
    starts = defaultdict(set)
    for cell in cells("old-new", profile).values():
        start = behind[cell.parents["start"].id]
        assert work(start).trainable.name == "head"
        assert work(start).recipe.head == "new"
        assert work(cell).recipe.head == "kept"
        assert cell.datasets == start.datasets
        starts[cell.seed, str(work(cell).network)].add(start.id)
    assert {len(each) for each in starts.values()} == {1}


def test_rows_that_are_alike_are_one_cell() -> None:
    steps, by_gradients = (cells("old-new", budget=b) for b in ("steps", "gradients"))
    plain = {i for i, c in steps.items() if work(c).update.name != "profit"}
    assert set(steps) & set(by_gradients) == plain
    assert len(plain) == 4 * 2 * 5
    for n_ref, method in ((1, "profit"), (2, "profit-2")):
        for budget in ("steps", "gradients"):
            alike = set(cells("n-ref", n_ref=n_ref, budget=budget))
            assert alike == set(cells("old-new", method=method, budget=budget))
    where = {"method": "profit", "budget": "steps", "statistics": "moving"}
    assert set(cells("ratio", ratio=10)) == set(cells("old-new", **where))


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("suite", ["old-new", "n-ref", "settings"])
def test_budgets_are_equal_exactly(suite: str, profile: str) -> None:
    if suite == "settings" and profile == "paper":
        pytest.skip("rates are chosen offline alone")
    for budget, counted in (("steps", lambda c: work(c).recipe.steps), ("gradients", gradients)):
        found = defaultdict(set)
        for place in planned(suite, profile).shown:
            if place.labels.get("budget") == budget:
                found[place.labels["backbone"]].add(counted(place.cell))
        assert all(len(each) == 1 for each in found.values()), (budget, found)


def test_printed_epochs_are_those_of_table_10() -> None:
    epochs = {"sgd": 200, "adam": 200, "lookahead": 100, "adan": 200, "profit": 100}
    rates = {
        "resnet18": {"adam": 1e-4, "lookahead": 1e-4, "profit": 1e-4},
        "vit_tiny_patch16_224": {"adam": 1e-5, "lookahead": 1e-4, "profit": 1e-4},
        "vit_small_patch16_224": {"adam": 3e-4, "lookahead": 3e-4, "profit": 3e-4},
    }
    ratios = {"resnet18": 10, "vit_tiny_patch16_224": 1000, "vit_small_patch16_224": 100}
    for backbone, of in rates.items():
        factor = 1 if backbone == "resnet18" else 2
        for method, times in epochs.items():
            found = cells("old-new", "paper", budget="printed", backbone=backbone, method=method)
            recipe, update = next((work(c).recipe, work(c).update) for c in found.values())
            assert recipe.steps * 128 / 50_000 == pytest.approx(factor * times, abs=0.01)
            if method in of:
                assert recipe.optimizer.settings.lr == of[method]
            if method == "lookahead":
                assert (update.settings["k"], update.settings["alpha"]) == (1, 0.5)
            if method == "profit":
                assert (update.settings["n_ref"], update.settings["ratio"]) == (1, ratios[backbone])


@pytest.mark.parametrize("suite", ["old-new", "n-ref", "settings"])
def test_statistics_are_frozen_where_a_row_says_so(suite: str) -> None:
    for cell in cells(suite, statistics="frozen").values():
        assert work(cell).trainable.settings["statistics"] == "frozen"
    for cell in cells(suite, statistics="moving").values():
        assert work(cell).trainable.settings["statistics"] == "moving"


def test_curves_have_as_many_points_by_either_budget() -> None:
    for suite in ("old-new", "n-ref"):
        points = set()
        for cell in cells(suite).values():
            recipe = work(cell).recipe
            assert recipe.validate_every is not None
            assert recipe.steps % recipe.validate_every == 0
            points.add(recipe.steps // recipe.validate_every)
        assert points == {16}


def test_every_optimizer_has_as_many_rates_to_choose_from() -> None:
    tried = defaultdict(set)
    for place in planned("settings").shown:
        key = tuple(place.labels[axis] for axis in ("statistics", "budget", "method"))
        rate = work(place.cell).recipe.optimizer.settings.lr
        assert rate == place.labels["rate"]
        tried[key].add(rate)
    assert len(tried) == 2 * 2 * 5
    assert {len(rates) for rates in tried.values()} == {5}


def test_rates_are_chosen_without_a_look_at_test_images_or_the_old_task() -> None:
    for cell in cells("settings").values():
        recipe = work(cell).recipe
        assert not recipe.evaluation.test
        assert not recipe.forgetting
        assert recipe.validation > 0


def test_the_rates_of_published_tables_are_those_chosen_on_validation() -> None:
    """Of the rates within a point of the best mean over seeds, the smallest."""
    published = [suite for suite in STARTED if (PAGES / f"{suite}.offline.csv").exists()]
    if not published:
        pytest.skip("no table with chosen rates is published yet")
    page = PAGES / "settings.offline.csv"
    chosen = _chosen(page)
    for key, by_rate in _scores(page).items():
        # At its grid's end a rate would say that the grid should go on.
        assert min(by_rate) < chosen[key] < max(by_rate), key
    for suite in published:
        for place in planned(suite).shown:
            method = str(place.labels["method"]).removesuffix("-2")
            key = (
                str(place.labels.get("statistics", "moving")),
                str(place.labels.get("budget", "steps")),
            )
            assert work(place.cell).recipe.optimizer.settings.lr == chosen[*key, method], key


def test_the_smallest_rate_within_a_point_of_the_best_is_chosen(tmp_path: Path) -> None:
    page = tmp_path / "settings.offline.csv"
    rows = ["moving,steps,0.1,sgd,.70", "moving,steps,0.1,sgd,.90", "moving,steps,.03,sgd,.78"]
    rows += ["moving,steps,.03,sgd,.80", "moving,steps,.01,sgd,.95", "moving,steps,.01,sgd,"]
    rows += ["frozen,steps,.01,sgd,.2"]
    page.write_text("\n".join(["statistics,budget,rate,method,validation/top1", *rows]))
    # .80 and .79 on average; without a score at a seed .01 is none to choose.
    assert _chosen(page) == {("moving", "steps", "sgd"): 0.03, ("frozen", "steps", "sgd"): 0.01}


def _scores(page: Path) -> dict[tuple[str, str, str], dict[float, list[float]]]:
    scores: dict[tuple[str, str, str], dict[float, list[float]]] = defaultdict(
        lambda: defaultdict(list)
    )
    with page.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            key = row["statistics"], row["budget"], row["method"]
            # Without a score, such as of a training that diverged, a rate is none to choose.
            scores[key][float(row["rate"])].append(float(row["validation/top1"] or "-inf"))
    return scores


def _chosen(page: Path) -> dict[tuple[str, str, str], float]:
    means = {k: {r: mean(s) for r, s in by_rate.items()} for k, by_rate in _scores(page).items()}
    return {
        key: min(rate for rate, score in by.items() if score >= max(by.values()) - 0.01 - 1e-9)
        for key, by in means.items()
    }
