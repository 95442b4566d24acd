"""Model Patch's suites: what they share, and what follows from the data sets' sizes."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from bench.spec.catalogue import entry
from bench.spec.cell import Cell
from bench.spec.plan import Plan, load_plan
from bench.spec.work import Train

FOLDER = Path(__file__).parents[2] / "suites" / "modelpatch"
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


@pytest.mark.parametrize("suite", ["table1", "table2", "table5", "learning-rates"])
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


def test_the_paper_profiles_data_sets_are_those_of_the_catalogue() -> None:
    for suite in PAPER:
        for cell in cells(suite, "paper").values():
            for name in cell.datasets:
                assert "modelpatch" in entry(name).papers
