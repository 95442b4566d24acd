"""BSS beside its peers: what the suite shares with Table 2, and each method's own settings."""

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
OF_TABLE_2 = {"l2", "l2+bss", "l2-sp", "l2-sp+bss", "delta", "delta+bss"}
PEERS = {"lwf", "co-tuning", "stochnorm", "bi-tuning"}


@cache
def planned(suite: str, profile: str) -> Plan:
    return load_plan(FOLDER / f"{suite}.yaml", profile)


def cells(profile: str, **where: object) -> list[Cell]:
    found = [
        p.cell
        for p in planned("baselines", profile).shown
        if all(p.labels[axis] == value for axis, value in where.items())
    ]
    assert found
    return found


def trained(profile: str, method: str, **where: object) -> Train:
    work = cells(profile, method=method, **where)[0].work
    assert isinstance(work, Train)
    return work


@pytest.mark.parametrize(
    ("profile", "backbone"), [("offline", "test_resnet"), ("tllib", "resnet50.tv_in1k")]
)
def test_what_table_2_trains_is_trained_once(profile, backbone):
    known = {p.cell.id for p in planned("table2", profile).shown}
    shown = planned("baselines", profile).shown
    for place in shown:
        shared = place.labels["method"] in OF_TABLE_2 and place.labels["backbone"] == backbone
        assert (place.cell.id in known) == shared
    assert {place.labels["method"] for place in shown} >= {"l2", "l2+bss", "delta", *PEERS}


def test_all_rows_have_one_protocol():
    for profile in ("paper", "offline"):
        recipes = {
            cell.work.recipe.model_copy(update={"measurements": {}}).model_dump_json()
            for cell in cells(profile, sampling_rate=0.15)
            if isinstance(cell.work, Train) and cell.work.recipe.image.normalise == "imagenet"
        }
        assert len(recipes) == 1


def test_low_rank_updates_stand_beside_their_own_network():
    of_methods: dict[object, set[object]] = {}
    for place in planned("baselines", "paper").shown:
        of_methods.setdefault(place.labels["method"], set()).add(place.labels["backbone"])
    resnet, vit = "resnet50.tv_in1k", "vit_base_patch16_224.augreg_in1k"
    assert of_methods["lora"] == {vit}
    assert of_methods["l2"] == {vit, resnet}
    assert all(of_methods[name] == {resnet} for name in PEERS)


def test_bi_tuning_alone_has_another_objective():
    for profile in ("paper", "tllib", "offline", "smoke"):
        for place in planned("baselines", profile).shown:
            work = place.cell.work
            assert isinstance(work, Train)
            found = {task.objective.name for task in work.tasks.values()}
            bi_tuning = place.labels["method"] == "bi-tuning"
            assert found == {"bi-tuning" if bi_tuning else "classification"}


def test_each_start_of_co_tuning_has_its_own_scale():
    def scales(profile: str) -> dict[str, object]:
        return {
            p.cell.work.starts["start"].weights: p.cell.work.measurement.settings["source_scale"]
            for p in planned("baselines", profile).behind
            if isinstance(p.cell.work, Measure)
            and p.cell.work.measurement.name == "category-relationship"
        }

    near, far = "shipped:glyphs-source", "shipped:fractals"
    assert scales("offline") == {near: 0.839, far: 1.021}
    assert scales("smoke") == {far: 1.021}
    assert scales("paper") == {"timm": 0.8840456604957581}
    assert scales("tllib") == {"timm": 1.0}


def test_the_librarys_protocol_has_its_settings():
    (lwf,) = (u.settings for u in trained("tllib", "lwf").penalties if u.name == "lwf")
    assert lwf == {"weight": 4.0, "temperature": 3.0, "head": "frozen"}
    measured = [
        p.cell.work for p in planned("baselines", "tllib").behind
        if isinstance(p.cell.work, Measure)
        and p.cell.work.measurement.name == "category-relationship"
    ]  # fmt: skip
    assert {work.measurement.settings["approach"] for work in measured} == {"direct"}
    rates = {
        (place.labels["dataset"], place.labels["sampling_rate"])
        for place in planned("baselines", "tllib").shown
        if place.labels["method"] == "lwf" and place.cell.work.recipe.optimizer.settings.lr == 0.001
    }
    assert rates == {
        *(("cub-200-2011", rate) for rate in (0.15, 0.3, 0.5)),
        *(("fgvc-aircraft", rate) for rate in (0.15, 0.3, 0.5, 1.0)),
    }


def test_every_place_of_the_library_has_its_printed_number():
    reported = load_reported(FOLDER)
    plan = planned("baselines", "tllib")
    check_reported(plan, reported)
    (table,) = (t for t in reported.tables if (t.suite, t.profile) == ("baselines", "tllib"))
    assert len(table.entries) == len(plan.shown) == 84
