"""BSS, Table 3: which task each cell learns or is scored on, and what methods differ in."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from bench.spec.cell import Cell
from bench.spec.paper import load_reported
from bench.spec.plan import Plan, load_plan
from bench.spec.reported import check_reported
from bench.spec.work import Measure, Train

FOLDER = Path(__file__).parents[2] / "suites" / "bss"
PROFILES = ("paper", "offline", "smoke")


@cache
def planned(profile: str) -> Plan:
    return load_plan(FOLDER / "table3.yaml", profile)


def permutation(cell: Cell) -> int:
    ((use,),) = (task.transforms for task in cell.tasks.values())
    assert use.name == "pixel-permutation"
    return int(use.settings["permutation"])


def train(cell: Cell) -> Train:
    assert isinstance(cell.work, Train)
    return cell.work


@pytest.mark.parametrize("profile", PROFILES)
def test_the_printed_numbers_belong_to_cells(profile: str) -> None:
    reported = load_reported(FOLDER)
    assert reported is not None
    check_reported(planned(profile), reported)


@pytest.mark.parametrize("profile", PROFILES)
def test_each_network_learns_both_tasks_and_is_scored_on_both(profile: str) -> None:
    cells = planned(profile).unique()
    scored: dict[str, set[int]] = {}
    for place in planned(profile).shown:
        assert permutation(place.cell) == {"first": 1, "second": 2}[str(place.labels["learnt"])]
        (parent,) = place.cell.parents.values()
        second = cells[parent.id]
        scored.setdefault(second.id, set()).add(permutation(place.cell))
        first = cells[second.parents["start"].id]
        assert (permutation(first), permutation(second)) == (1, 2)
        assert (train(first).recipe.head, train(second).recipe.head) == ("new", "kept")
        assert not train(first).penalties
        assert first.seed == second.seed == place.cell.seed
    assert set(map(frozenset, scored.values())) == {frozenset({1, 2})}
    # One first task a seed, which all methods begin from.
    assert len(scored) == 3 * len({place.seed for place in planned(profile).shown})


@pytest.mark.parametrize("profile", PROFILES)
def test_the_information_is_of_the_first_task(profile: str) -> None:
    cells = planned(profile).unique()
    for cell in cells.values():
        if "fisher" in cell.parents:
            fisher = cells[cell.parents["fisher"].id]
            assert isinstance(fisher.work, Measure)
            assert permutation(fisher) == 1
            assert fisher.parents == {"start": cell.parents["start"]}
            assert fisher.work.measurement.settings["labels"] == "model"


@pytest.mark.parametrize("profile", PROFILES)
def test_methods_differ_in_their_penalties_alone(profile: str) -> None:
    cells = planned(profile).unique()
    found: dict[str, dict[str, object]] = {}
    recipes = set()
    for place in planned(profile).shown:
        work = train(cells[place.cell.parents["network"].id])
        used = {use.name: use.settings for use in work.penalties}
        assert found.setdefault(str(place.labels["method"]), used) == used
        recipes.add(work.recipe.model_dump_json())
    assert len(recipes) == 1
    assert found["plain"] == {}
    ewc = {"ewc": {"weight": 100.0, "head": "anchored"}}
    assert found["ewc"] == ewc
    assert found["ewc+bss"] == ewc | {"bss": {"eta": 1e-3, "k": 1}}


def test_forty_seeds_offline() -> None:
    seeds = {place.cell.seed for place in planned("offline").shown}
    assert seeds == set(range(40))


def test_twenty_epochs_a_task_on_paper() -> None:
    stage = next(p.cell for p in planned("paper").behind if p.name == "stage first")
    recipe = train(stage).recipe
    assert recipe.steps * recipe.batch_size == 20 * 60_000
    settings = recipe.optimizer.settings
    assert (recipe.optimizer.choice, settings.lr) == ("sgd", 0.001)  # type: ignore[attr-defined]
    assert train(stage).network.settings["widths"] in ((400, 400), [400, 400])  # type: ignore[union-attr]
