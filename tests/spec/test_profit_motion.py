"""The suite on motion: one source for all, budgets that are equal, and Table 5's differences."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from bench.report.claims.reported import evaluate_reported
from bench.spec.paper import load_paper, load_reported
from bench.spec.plan import Plan, load_plan
from bench.spec.work import Train

FOLDER = Path(__file__).parents[2] / "suites" / "profit"
PROFILES = ("paper", "offline", "smoke")


@cache
def planned(profile: str) -> Plan:
    return load_plan(FOLDER / "motion.yaml", profile)


def trained(profile: str, **where: object) -> list[tuple[dict[str, object], Train]]:
    """Return the labels and the work of the cells of the first seed."""
    return [
        (p.labels, p.cell.work)
        for p in planned(profile).shown
        if isinstance(p.cell.work, Train)
        and p.cell.seed == 0
        and all(p.labels[axis] == value for axis, value in where.items())
    ]


@pytest.mark.parametrize("profile", PROFILES)
def test_a_budget_is_one_number_of_steps_or_of_gradients(profile):
    for target in ("car", "pedestrian"):
        steps = {w.recipe.steps for _, w in trained(profile, target=target, budget="steps")}
        assert len(steps) <= 1
        for _, work in trained(profile, target=target, budget="gradients", method="profit"):
            assert {4 * work.recipe.steps} == steps
            assert work.update.settings["n_ref"] == 3
            assert work.update.settings["ratio"] == 10


@pytest.mark.parametrize("profile", ["paper", "offline"])
def test_what_is_shown_first_is_what_all_others_start_from(profile):
    plan = planned(profile)
    first = {p.cell.seed: p.cell.id for p in plan.shown if p.labels["target"] == "none"}
    assert not plan.behind
    others = [p for p in plan.shown if p.labels["target"] != "none"]
    assert {p.cell.parents["start"].id for p in others} == set(first.values())
    assert all(p.cell.parents["start"].id == first[p.cell.seed] for p in others)
    # The head says the same for all targets, and so is none of a new one's.
    assert {p.cell.recipe.head for p in others} == {"kept"}


def test_the_papers_settings():
    ((_, base),) = trained("paper", target="none")
    assert base.recipe.optimizer.adamw.lr == 1e-3
    assert (base.recipe.batch_size, base.network.settings["width"]) == (256, 256)
    # 60 epochs of 1.8 million, to a percent.
    assert base.recipe.steps * 256 / 1.8e6 == pytest.approx(60, rel=0.01)
    tuned = [work for labels, work in trained("paper") if labels["target"] != "none"]
    assert {work.recipe.optimizer.adamw.lr for work in tuned} == {1e-5}
    cars = {w.recipe.steps for _, w in trained("paper", target="car", budget="steps")}
    walkers = {w.recipe.steps for _, w in trained("paper", target="pedestrian", budget="steps")}
    assert (cars, walkers) == ({1500}, {base.recipe.steps})
    datasets = {labels["target"]: work.tasks[""].dataset for labels, work in trained("paper")}
    assert datasets["car"] == datasets["none"] == "waymo-motion-vehicles"
    assert datasets["pedestrian"] == "waymo-motion-pedestrians"


def test_offline_rates_are_parts_of_the_first():
    ((_, base),) = trained("offline", target="none")
    first = base.recipe.optimizer.adamw.lr
    rates = {
        labels["rate"]: work.recipe.optimizer.adamw.lr
        for labels, work in trained("offline")
        if labels["target"] != "none"
    }
    assert rates == pytest.approx({"hundredth": first / 100, "tenth": first / 10})


# Of Table 5: PROFIT less F and less H, on cars, then on pedestrians.
DIFFERENCES = {
    "errs-least-ade-3s": (-0.004, -0.002, -0.011, -0.029),
    "errs-least-ade-8s": (-0.023, -0.004, -0.042, -0.145),
    "errs-least-fde-3s": (-0.013, -0.001, -0.038, -0.081),
    "errs-least-fde-8s": (-0.059, -0.018, -0.097, -0.399),
    "head-errs-most-on-pedestrians-ade-8s": (0.103, 0.145),
    "head-errs-most-on-pedestrians-fde-8s": (0.302, 0.399),
    "head-errs-less-on-cars-ade-8s": (-0.019,),
    "head-errs-less-on-cars-fde-8s": (-0.041,),
}


def test_the_papers_claims_hold_in_its_own_table():
    claims = [claim for claim in load_paper(FOLDER).claims if claim.suite == "motion"]
    reported = load_reported(FOLDER)
    assert reported is not None
    found = {claim.id: evaluate_reported(claim, reported) for claim in claims}
    assert found.pop("errs-least-by-gradients").told == "cannot be told"
    assert {name: told.told for name, told in found.items()} == dict.fromkeys(DIFFERENCES, "holds")
    for name, expected in DIFFERENCES.items():
        values = sorted(found[name].differences.values())
        assert values == pytest.approx(sorted(expected), abs=1e-9), name
