"""FAST: whose learning rates are searched for, by which trials, and who trains by them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from bench.spec.cell import CHOICE, Cell
from bench.spec.plan import Plan, load_plan
from bench.spec.tuning import Trial, Tuned
from bench.spec.work import Choose

FOLDER = Path(__file__).parents[2] / "suites" / "fast"
SUITES = sorted(f.stem for f in FOLDER.glob("*.yaml") if f.stem not in ("paper", "reported"))
SHARING = {
    "statistics": ("initialisation", "initialisation-other-domain"),
    "warmup-steps": ("classifier-warmup",),
}


@cache
def planned(suite: str, profile: str = "offline") -> Plan:
    return load_plan(FOLDER / f"{suite}.yaml", profile)


def choices(suite: str, profile: str = "offline") -> dict[str, Cell]:
    plan = planned(suite, profile)
    return {p.cell.id: p.cell for p in plan.cells if isinstance(p.cell.work, Choose)}


def rates(suite: str, method: str, **where: object) -> list[tuple[float, float]]:
    """Return head's and features' rate of each candidate of a method."""
    found = {
        tuple(_pair(candidate.work.recipe.optimizer) for candidate in p.cell.work.candidates)
        for p in planned(suite).shown
        if p.place["method"] == method and all(p.place[a] == v for a, v in where.items())
    }
    (only,) = found
    return list(only)


def _pair(optimizer) -> tuple[float, float]:
    (own,) = (o for o in (optimizer.sgd, optimizer.adam, optimizer.radam) if o is not None)
    return own.lr, own.lr if own.backbone_lr is None else own.backbone_lr


@pytest.mark.parametrize("suite", SUITES)
def test_every_cell_of_the_offline_tables_trains_by_a_choice_on_its_own_target(suite: str) -> None:
    plan = planned(suite)
    cells = plan.unique()
    for own in plan.shown:
        assert isinstance(own.cell.work, Tuned)
        choice = cells[own.cell.parents[CHOICE].id]
        trials = [cells[parent.id] for parent in choice.parents.values()]
        assert {(t.backbone, t.dataset) for t in trials} == {(own.cell.backbone, own.cell.dataset)}
        assert {t.recipe.held_out for t in trials} == {own.cell.recipe.held_out}
        assert {t.recipe.validation for t in trials} <= {0.05, 0.1}
        assert not any(t.recipe.evaluation.test for t in trials)
        assert not {t.seed for t in trials} & {p.cell.seed for p in plan.shown}


@pytest.mark.parametrize("suite", SHARING)
def test_suites_of_the_same_cells_share_their_trials_and_choices(suite: str) -> None:
    ours = choices(suite)
    assert len(ours) == len(SHARING[suite])
    assert ours.keys() == {choice for other in SHARING[suite] for choice in choices(other)}
    cells = {p.cell.id for p in planned(suite).shown}
    for other in SHARING[suite]:
        assert cells & {p.cell.id for p in planned(other).shown}


@pytest.mark.parametrize(
    ("suite", "fast", "single"),
    [
        ("convergence", "fast", "baseline-middle"),
        ("optimizers", "fast-sgd", "sgd-middle"),
        ("optimizers", "fast-adam", "adam-middle"),
        ("frozen-classifier", "frozen", "equal"),
    ],
)
def test_what_is_compared_is_tuned_by_as_many_trials(suite: str, fast: str, single: str) -> None:
    plan = planned(suite)
    tunings = {
        method: {plan.tunings[p.cell.id] for p in plan.shown if p.place["method"] == method}
        for method in (fast, single)
    }
    assert {t.followed for each in tunings.values() for t in each} == {None}
    assert not {t.choice for t in tunings[fast]} & {t.choice for t in tunings[single]}
    costs = {(t.trials, t.gradients, t.rows) for each in tunings.values() for t in each}
    assert len(costs) == 1


@pytest.mark.parametrize(
    ("suite", "leader", "follower", "head", "features"),
    [
        ("convergence", "baseline-middle", "baseline-low", 0.25, 0.25),
        ("convergence", "baseline-middle", "baseline-high", 4, 4),
        ("learning-rates", "both-at-c", "both-up", 5, 5),
        ("learning-rates", "both-at-c", "both-down", 0.2, 0.2),
        ("learning-rates", "both-at-c", "head-up", 5, 1),
        ("learning-rates", "both-at-c", "backbone-down", 1, 0.2),
        ("optimizers", "sgd-middle", "sgd-low", 0.25, 0.25),
        ("optimizers", "sgd-middle", "sgd-high", 4, 4),
        ("optimizers", "fast-sgd", "fast-nesterov", 1, 1),
        ("optimizers", "adam-middle", "adam-low", 0.25, 0.25),
        ("optimizers", "adam-middle", "adam-high", 4, 4),
        ("optimizers", "adam-middle", "radam-low", 0.25, 0.25),
        ("optimizers", "adam-middle", "radam-middle", 1, 1),
        ("optimizers", "adam-middle", "radam-high", 4, 4),
        ("optimizers", "fast-adam", "fast-radam", 1, 1),
    ],
)
def test_the_others_are_multiples(
    suite: str, leader: str, follower: str, head: float, features: float
) -> None:
    theirs, own = rates(suite, leader), rates(suite, follower)
    assert own == [(pytest.approx(a * head), pytest.approx(b * features)) for a, b in theirs]


@pytest.mark.parametrize("suite", ["convergence", "optimizers", "learning-rates"])
def test_single_rates_are_one_for_both_parts(suite: str) -> None:
    for method in ("baseline-middle", "sgd-middle", "adam-middle", "both-at-c"):
        if any(p.place["method"] == method for p in planned(suite).shown):
            assert all(head == features for head, features in rates(suite, method))


def test_a_classifier_that_stays_as_it_was_drawn_has_no_rate_in_any_trial() -> None:
    frozen, equal = (rates("frozen-classifier", method) for method in ("frozen", "equal"))
    assert {head for head, _ in frozen} == {0.0}
    assert all(head == features for head, features in equal)
    assert len(frozen) == len(equal)


def test_the_paper_profiles_rates_are_stated() -> None:
    for suite in set(SUITES) - set(SHARING):
        plan = planned(suite, "paper")
        assert not [p for p in plan.cells if isinstance(p.cell.work, Trial | Choose | Tuned)]
