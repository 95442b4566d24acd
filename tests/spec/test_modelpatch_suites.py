"""Model Patch's suites: what they share, and what follows from the data sets' sizes."""

from __future__ import annotations

import csv
from collections import defaultdict
from functools import cache
from itertools import pairwise
from pathlib import Path
from statistics import mean

import pytest

from bench.spec.catalogue import entry
from bench.spec.cell import Cell
from bench.spec.paper import load_paper
from bench.spec.plan import Plan, load_plan
from bench.spec.work import Train

FOLDER = Path(__file__).parents[2] / "suites" / "modelpatch"
PAGES = Path(__file__).parents[2] / "leaderboards" / "modelpatch"
TRANSFER = ("table1", "table2", "table5", "learning-rates", "settings")
PAPER = ("table1", "table2", "table5", "learning-rates", "multitask", "resolutions")


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


def test_three_sources_serve_all_suites_of_transfer() -> None:
    stages = {p.cell.id: p.cell for suite in TRANSFER for p in planned(suite).behind}
    assert sorted(cell.dataset for cell in stages.values()) == [
        "boxes",
        "fractals",
        "glyphs-source",
    ]
    assert {work(cell).recipe.steps for cell in stages.values()} == {1200}


def test_the_cascade_reads_the_cells_of_the_resolutions() -> None:
    for profile in ("paper", "offline", "smoke"):
        read = {p.cell.id for p in planned("cascade", profile).behind}
        assert read < set(cells("resolutions", profile))


def test_rows_that_are_alike_are_one_cell() -> None:
    for method in ("last", "sb+last"):
        alike = cells("table5", method=method)
        assert set(alike) <= set(cells("table1", method=method))
        assert len(alike) == 15


@pytest.mark.parametrize("suite", PAPER)
def test_the_rate_falls_every_two_and_a_half_epochs(suite: str) -> None:
    for cell in cells(suite, "paper").values():
        recipe = work(cell).recipe
        first, *_ = work(cell).tasks.values()
        rows = entry(first.dataset).rows.train
        schedule, optimizer = recipe.schedule.step, recipe.optimizer.rmsprop
        assert rows is not None
        assert schedule is not None
        assert optimizer is not None
        assert (schedule.every, schedule.factor) == (round(2.5 * rows / recipe.batch_size), 0.98)
        if suite != "learning-rates":
            assert optimizer.lr == 0.045


def test_the_sweep_begins_and_ends_as_printed_by_steps_of_the_root_of_ten() -> None:
    sweep = cells("learning-rates", "paper").values()
    rates = sorted({work(cell).recipe.optimizer.settings.lr for cell in sweep})
    assert (rates[0], rates[-1], len(rates)) == (0.0045, 0.45, 5)
    steps = [high / low for low, high in pairwise(rates)]
    assert steps == pytest.approx([10**0.5] * 4, rel=0.01)


def test_images_have_the_papers_sizes() -> None:
    sizes = {}
    for suite in ("table1", "table5", "learning-rates"):
        for cell in cells(suite, "paper").values():
            image = work(cell).recipe.image
            assert image is not None
            sizes[str(work(cell).network), cell.dataset] = image.size
    for (network, dataset), size in sizes.items():
        expected = (
            299 if network.startswith("inception") else 256 if dataset == "places-365" else 224
        )
        assert size == expected, (network, dataset)
    tasks = work(next(iter(cells("resolutions", "paper").values()))).tasks
    assert {n: t.image.size for n, t in tasks.items() if t.image} == {
        "smallest": 96, "small": 128, "middle": 160, "large": 192, "largest": 224,
    }  # fmt: skip


def test_only_networks_of_their_own_have_last_layers_of_their_own() -> None:
    for profile in ("paper", "offline"):
        for method in ("shared", "patch", "independent"):
            for cell in cells("resolutions", profile, method=method).values():
                heads = {name: task.head for name, task in work(cell).tasks.items()}
                shared = None if method == "independent" else "smallest"
                assert heads.pop("smallest") is None
                assert set(heads.values()) == {shared}


@pytest.mark.parametrize("suite", TRANSFER)
def test_every_row_says_which_statistics_it_has(suite: str) -> None:
    labels = planned(suite).suite.labels["method"]
    for shown in planned(suite).shown:
        said = labels[str(shown.place["method"])]
        use, recipe = work(shown.cell).trainable, work(shown.cell).recipe
        moving = use.name == "all" or use.settings["statistics"] == "moving"
        assert ("statistics moving" in said) == moving
        assert ("averaged anew" in said) == (recipe.statistics == "averaged-anew")
        assert ("random last" in said) == (use.settings.get("last_layer") is False)


def test_rows_that_differ_in_statistics_have_one_rate() -> None:
    rates: dict[tuple[object, ...], set[float]] = {}
    for shown in planned("table5").shown:
        use = work(shown.cell).trainable.name
        key = (shown.place["weights"], shown.place["dataset"], use)
        rates.setdefault(key, set()).add(work(shown.cell).recipe.optimizer.settings.lr)
    assert len(rates) == 6
    assert {len(each) for each in rates.values()} == {1}


def test_the_two_sets_are_also_compared_at_the_same_statistics() -> None:
    plan, found = planned("table5"), set()
    contrast = plan.suite.table.contrast
    assert contrast is not None
    uses = {str(shown.place["method"]): work(shown.cell).trainable for shown in plan.shown}
    for pair in contrast.pairs:
        treated, base = (uses[method] for method in pair)
        if treated.name != base.name:
            found.add((treated.settings["statistics"], base.settings["statistics"]))
    assert found >= {("frozen", "frozen"), ("moving", "moving")}


def test_heads_are_drawn_as_the_papers_notes_say() -> None:
    drawn = {
        (work(cell).recipe.head_init.name, work(cell).recipe.head_init.settings["mode"])
        for suite in PAPER
        for cell in cells(suite, "paper").values()
    }
    assert drawn == {("kaiming", "fan_in")}
    (said,) = (n.text for n in load_paper(FOLDER).notes if n.text.startswith("A last layer"))
    assert "Kaiming" in said
    assert "fan in" in said


@pytest.mark.parametrize("profile", ["paper", "offline"])
@pytest.mark.parametrize("suite", ["multitask", "resolutions"])
def test_private_parameters_are_said_to_be_those_of_all_tasks(suite: str, profile: str) -> None:
    shown = planned(suite, profile).suite.table.metrics
    (label,) = (m.label for m in shown if m.metric == "parameters/private")
    assert label is not None
    assert label.endswith("together")


def test_the_rates_of_published_tables_are_those_chosen_on_validation() -> None:
    """Of the rates within a point of the best mean over data sets and seeds, the smallest."""
    published = [s for s in ("table1", "table2", "table5") if (PAGES / f"{s}.offline.csv").exists()]
    if not published:
        pytest.skip("no table with chosen rates is published yet")
    chosen = _chosen(PAGES / "settings.offline.csv")
    for suite in published:
        for shown in planned(suite).shown:
            recipe, method = work(shown.cell).recipe, str(shown.place["method"])
            source = str(shown.place.get("source") or shown.place["weights"])
            key = source.removeprefix("stage:").replace("detector", "boxes")
            of = "sb" if method == "sb" else "sb+last" if "sb" in method else method.split("-")[0]
            assert recipe.optimizer.settings.lr == chosen[key, of], (suite, key, method)


def test_the_smallest_rate_within_a_point_of_the_best_is_chosen(tmp_path: Path) -> None:
    page = tmp_path / "settings.offline.csv"
    rows = [
        "far,1,glyphs,sb,.70",
        "far,1,digits,sb,.90",
        "far,.3,glyphs,sb,.78",
        "far,.3,digits,sb,.80",
    ]
    rows += ["far,.1,glyphs,sb,.95", "far,.1,digits,sb,", "random,3,glyphs,last-anew,.2"]
    page.write_text("\n".join(["source,rate,dataset,method,validation/top1", *rows]))
    # .80 and .79 on average; without a score on digits .1 is none to choose.
    assert _chosen(page) == {("far", "sb"): 0.3, ("random", "last"): 3.0}


def _chosen(page: Path) -> dict[tuple[str, str], float]:
    scores: dict[tuple[str, str], dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    with page.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            key = row["source"], row["method"].removesuffix("-anew")
            # Without a score, such as of a training that diverged, a rate is none to choose.
            scores[key][float(row["rate"])].append(float(row["validation/top1"] or "-inf"))
    means = {key: {r: mean(s) for r, s in by_rate.items()} for key, by_rate in scores.items()}
    return {
        key: min(
            rate for rate, score in by_rate.items() if score >= max(by_rate.values()) - 0.01 - 1e-9
        )
        for key, by_rate in means.items()
    }


def test_the_paper_profiles_data_sets_are_those_of_the_catalogue() -> None:
    for suite in PAPER:
        for cell in cells(suite, "paper").values():
            for name in cell.datasets:
                assert "modelpatch" in entry(name).papers
