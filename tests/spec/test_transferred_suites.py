"""What is being transferred?: its protocol, what its suites share, its claims on printed means."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

from bench.report.claims.reported import evaluate_reported
from bench.spec.cell import Cell
from bench.spec.paper import load_paper, load_reported
from bench.spec.plan import Plan, load_plan
from bench.spec.reported import check_reported
from bench.spec.work import Measure, Train

FOLDER = Path(__file__).parents[2] / "suites" / "transferred"
PROFILES = ("paper", "offline", "smoke")
SUITES = sorted({f.stem for f in FOLDER.glob("*.yaml")} - {"paper", "reported"})
# The paper's own networks lack normalisation: what asks that of a small one is ours.
ON_PAPER = sorted({*SUITES} - {"without-normalisation"})
# Those whose networks are compared, and not how fast they learn.
COMPARED = (
    "barriers", "basin", "criticality", "cross-domain", "distance", "extrapolation", "mistakes",
    "rewinding", "similarity", "without-normalisation",
)  # fmt: skip
PAIRS = ("barriers", "basin", "distance", "extrapolation", "mistakes", "similarity")
LAYERS = ("conv1", "layer1", "layer2", "layer3", "layer4")
PAPER, REPORTED = load_paper(FOLDER), load_reported(FOLDER)


@cache
def planned(suite: str, profile: str = "offline") -> Plan:
    return load_plan(FOLDER / f"{suite}.yaml", profile)


def cells(suite: str, profile: str = "offline", **where: object) -> list[Cell]:
    """Return the cells of a suite's table."""
    return [
        p.cell
        for p in planned(suite, profile).shown
        if all(p.labels[axis] == value for axis, value in where.items())
    ]


def trained(suite: str, profile: str = "offline") -> dict[str, Cell]:
    """Return all trainings of a suite, its own and those behind it, by id."""
    found = (p.cell for p in planned(suite, profile).cells)
    return {cell.id: cell for cell in found if isinstance(cell.work, Train)}


def work(cell: Cell) -> Train:
    assert isinstance(cell.work, Train)
    return cell.work


def rate(cell: Cell) -> float:
    settings = work(cell).recipe.optimizer.settings
    return float(settings.lr)  # type: ignore[attr-defined]


# -- plans ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suite", "profile"),
    [(s, p) for p in PROFILES for s in (ON_PAPER if p == "paper" else SUITES)],
)
def test_every_suite_has_a_plan_in_every_profile_with_its_printed_numbers(
    suite: str, profile: str
) -> None:
    plan = planned(suite, profile)
    assert plan.shown
    assert REPORTED is not None
    check_reported(plan, REPORTED)


@pytest.mark.parametrize("suite", [s for s in SUITES if s != "shuffled-images"])
def test_five_seeds_offline_and_on_paper(suite: str) -> None:
    for profile in ("offline", "paper") if suite in ON_PAPER else ("offline",):
        seeds = defaultdict(set)
        for place in planned(suite, profile).shown:
            seeds[tuple(place.place.items())].add(place.cell.seed)
        assert set(map(frozenset, seeds.values())) == {frozenset(range(5))}, profile


# -- the paper's protocol ------------------------------------------------------------------------


def test_the_papers_settings_are_those_of_its_code() -> None:
    for suite in ("learning", "checkpoints"):
        for cell in cells(suite, "paper"):
            recipe = work(cell).recipe
            assert recipe.steps * recipe.batch_size == 100 * 50_000
            schedule = recipe.schedule.settings
            assert (schedule.every * 32, schedule.factor) == (30 * 50_000, 0.1)  # type: ignore[attr-defined]
            assert recipe.scalar_rate == 0.1
            assert recipe.head == "new"
            (task,) = work(cell).tasks.values()
            assert (task.objective.name, task.objective.settings) == (
                "mixup-classification",
                {"alpha": 0.7},
            )
            (decay,) = work(cell).penalties
            # Half the squared norm times this: what SGD calls a weight decay of 1e-4.
            assert (decay.name, decay.settings["weight"]) == ("l2", 1e-4)
    tuned = {rate(c) for c in cells("learning", "paper") if work(c).weights == "stage"}
    scratch = {rate(c) for c in cells("learning", "paper") if work(c).weights == "random"}
    assert (tuned, scratch) == ({0.02 / 8}, {0.1 / 8})
    assert {rate(c) for c in cells("checkpoints", "paper")} == {0.02 / 8, 0.1 / 8}


@pytest.mark.parametrize("suite", [s for s in ON_PAPER if s != "shuffled-images"])
def test_the_papers_network_is_a_resnet_50_for_imagenet_without_normalisation(suite: str) -> None:
    size = {"blocks": (3, 4, 6, 3), "width": 64, "bottleneck": True, "stem": "imagenet"}
    networks = [cell.work.network for cell in trained(suite, "paper").values()]
    assert networks
    for network in networks:
        assert not isinstance(network, str)
        assert (network.name, network.settings) == ("fixup-resnet", size)


def test_chexpert_is_trained_as_in_the_papers_code() -> None:
    xray = [c for c in trained("distance", "paper").values() if c.dataset == "chexpert"]
    epochs = {
        work(c).weights: (work(c).recipe.steps * 256 / 50_000, rate(c), work(c).recipe.batch_size)
        for c in xray
    }
    assert epochs == {
        "stage": (pytest.approx(200, abs=0.01), 0.02, 256),
        "random": (pytest.approx(400, abs=0.01), 0.1, 256),
    }
    for cell in xray:
        (task,) = work(cell).tasks.values()
        assert task.objective.name == "multi-label"
        assert work(cell).recipe.schedule.choice == "constant"


def test_the_papers_checkpoints_are_those_of_its_code() -> None:
    epochs = [0, 1, 2, 5, 10, 29, 30, 31, 59, 60, 61, 89, 90]
    kept = {c.parents["start"].artifact for c in cells("checkpoints", "paper")}
    steps = {1_281_167 // 256 * epoch for epoch in epochs[1:-1]}
    assert kept == {
        "checkpoint", "checkpoint@start", *(f"checkpoint@step {step}" for step in steps)
    }  # fmt: skip
    (source,) = (c for c in trained("checkpoints", "paper").values() if c.dataset == "imagenet-1k")
    assert work(source).recipe.steps == 90 * 5004


def test_blocks_are_the_papers_and_divide_its_images() -> None:
    sizes = {p.labels["block"] for p in planned("block-shuffle", "paper").shown}
    assert sizes - {0, 224} == {1, 2, 4, 7, 8, 14, 16, 28, 32, 56, 112}
    for profile, whole in (("paper", 224), ("offline", 32)):
        for place in planned("block-shuffle", profile).shown:
            (task,) = work(place.cell).tasks.values()
            block, used = int(str(place.labels["block"])), task.transforms
            if used and used[0].name == "block-shuffle":
                assert used[0].settings["block"] == block
                assert whole % block == 0
            assert work(place.cell).recipe.augmentation.crop == "centre"  # type: ignore[union-attr]


# -- what the suites share -----------------------------------------------------------------------


def test_the_same_networks_serve_all_suites_offline() -> None:
    starts = {c.id for c in cells("learning", dataset="glyphs")}
    assert len(starts) == 3 * 5
    for suite in {*COMPARED} & {*ON_PAPER} - {"cross-domain", "criticality"}:
        assert starts <= set(trained(suite)), suite
    everything = {i: c for suite in COMPARED for i, c in trained(suite).items()}
    plain = [
        c
        for c in everything.values()
        if c.dataset == "glyphs" and rate(c) == 0.1 and not work(c).recipe.validation
        and not next(iter(work(c).tasks.values())).transforms and work(c).recipe.steps > 1
    ]  # fmt: skip
    # From the near and the far source, from random weights, and from one initial state.
    assert len(plain) == 4 * 10


def test_one_training_of_each_source_serves_all_suites_of_a_network() -> None:
    for suites in (ON_PAPER, ["without-normalisation"]):
        sources = {
            cell.id: cell.dataset
            for suite in suites
            for cell in trained(suite).values()
            if cell.dataset in ("glyphs-source", "fractals")
        }
        assert sorted(sources.values()) == ["fractals", "glyphs-source"]


def test_a_small_network_without_normalisation_is_trained_offline() -> None:
    for profile in ("offline", "smoke"):
        found = [work(c) for c in trained("without-normalisation", profile).values()]
        assert {use.network.name for use in found} == {"fixup-resnet"}  # type: ignore[union-attr]
        assert {use.recipe.scalar_rate for use in found} == {0.1}
        for cell in cells("without-normalisation", profile):
            assert isinstance(cell.work, Measure)
            assert cell.work.measurement.settings["statistics"] == "interpolated"


@pytest.mark.parametrize("suite", COMPARED)
def test_networks_that_are_compared_are_trained_to_the_end(suite: str) -> None:
    for cell in trained(suite).values():
        recipe = work(cell).recipe
        assert recipe.steps >= 1200 or recipe.steps == 1
        # The network that others begin at: its start alone is asked for.
        if recipe.steps == 1:
            begun = [c for c in trained(suite).values() if cell.id in _parents(c)]
            assert begun
            assert all(c.parents["start"].artifact == "checkpoint@start" for c in begun)


@pytest.mark.parametrize("suite", SUITES)
def test_nothing_is_chosen_on_a_test_split(suite: str) -> None:
    for profile in PROFILES if suite in ON_PAPER else ("offline", "smoke"):
        for cell in trained(suite, profile).values():
            assert work(cell).recipe.selection != "best-on-test"


@pytest.mark.parametrize(
    ("suite", "profile"),
    [(s, p) for s in PAIRS for p in ("paper", "offline")] + [("without-normalisation", "offline")],
)
def test_no_network_is_in_the_pairs_of_two_seeds(suite: str, profile: str) -> None:
    """But for P itself and the state that two RI-T begin at, which are one for all."""
    for place in {p.labels["pair"] for p in planned(suite, profile).shown}:
        used = defaultdict(set)
        for cell in cells(suite, profile, pair=place):
            for parent in _parents(cell):
                used[parent].add(cell.seed)
        fixed = {p.id for p in _sources(suite, profile)}
        assert {len(seeds) for parent, seeds in used.items() if parent not in fixed} == {1}


def test_a_pair_has_two_networks_and_judges_are_neither() -> None:
    for profile in ("paper", "offline"):
        for cell in cells("mistakes", profile):
            roles = {role: parent.id for role, parent in cell.parents.items()}
            assert len(roles) == 6
            assert len(set(roles.values())) == 6


def test_two_rit_of_one_initial_state_begin_alike_and_others_do_not() -> None:
    known = trained("barriers")
    for pair, alike in (("same-init", True), ("random-random", False)):
        for cell in cells("barriers", pair=pair, source="near"):
            first, second = (known[cell.parents[role].id] for role in ("first", "second"))
            assert first.seed != second.seed
            begins = [c.parents.get("start") for c in (first, second)]
            assert (begins[0] is not None and begins[0] == begins[1]) == alike


def test_a_path_is_between_networks_of_the_rate_that_its_row_says() -> None:
    known = trained("barriers")
    for place in planned("barriers").shown:
        ends = (known[place.cell.parents[role].id] for role in ("first", "second"))
        assert {rate(end) for end in ends} == {place.labels["rate"]}


def test_across_domains_each_network_was_trained_on_the_domain_that_the_row_says() -> None:
    known = trained("cross-domain")
    for place in planned("cross-domain").shown:
        said = str(place.labels["trained"]).split("-")
        for role, domain in zip(("first", "second"), said, strict=True):
            (task,) = work(known[place.cell.parents[role].id]).tasks.values()
            assert [use.name for use in task.transforms] == ["edges"] * (domain == "edges")
        measured = place.cell.work
        assert isinstance(measured, Measure)
        assert measured.task is not None
        assert len(measured.task.transforms) == (place.labels["domain"] == "edges")


def _parents(cell: Cell) -> set[str]:
    return {parent.id for parent in cell.parents.values()}


def _sources(suite: str, profile: str) -> list[Cell]:
    datasets = ("imagenet-1k", "glyphs-source", "fractals")
    return [c for c in trained(suite, profile).values() if c.dataset in datasets]


# -- claims --------------------------------------------------------------------------------------

# Differences worked out by hand from the printed tables, and that all of them hold.
DIFFERENCES = {
    **{
        f"C1-{layer}": pair
        for layer, pair in zip(
            LAYERS,
            [(0.6674, 0.6694), (0.8219, 0.8142), (0.603, 0.6048), (0.4086, 0.4085),
             (0.082, 0.1204)],
            strict=True,
        )
    },
    **{
        f"C2-{layer}": (value,)
        for layer, value in zip(LAYERS, (0.0485, 0.3638, 0.3156, 0.2212, 0.1175), strict=True)
    },
    "C3-conv1": (0.0772, 0.0408),
    "C3-layer1": (0.0797, 0.0336),
    "C3-layer2": (0.0786, 0.042),
    "C3-layer3": (0.0805, 0.042),
    "C4": (-55.22, -644.36, -558.24, -621.63),
    "C5": (-360.88, -654.68, -589.78, -631.97),
    "C6-domainnet": (-20.88, -23.08, -28.62),
    "C6-chexpert": (37.19,),
}  # fmt: skip


@pytest.mark.parametrize("claim", DIFFERENCES)
def test_the_papers_own_numbers_hold(claim: str) -> None:
    assert REPORTED is not None
    found = evaluate_reported(_claim(claim), REPORTED)
    assert found.told == "holds"
    # In which order the comparisons are named does not matter.
    expected = sorted(DIFFERENCES[claim])
    assert sorted(found.differences.values()) == pytest.approx(expected, abs=1e-9)


def test_layer4_is_not_an_order_of_magnitude_apart_in_the_printed_table() -> None:
    assert REPORTED is not None
    (table,) = (t for t in REPORTED.tables if t.metric == "cka/layer4")
    means = {str(entry.where["pair"]): entry.mean for entry in table.entries}
    ratios = {pair: means["pretrained-pretrained"] / mean for pair, mean in means.items()}
    assert round(ratios["pretrained-random"], 1) == 2.0
    assert round(ratios["random-random"], 1) == 3.8
    assert max(ratios["pretrained-random"], ratios["random-random"]) < 10


def test_of_the_fifteen_claims_none_is_left_out_and_what_is_more_says_so() -> None:
    fifteen = {f"C{i}" for i in range(1, 7)} | {"C3-note"} | {f"F{i}" for i in range(1, 9)}
    groups = {c.id if c.id == "C3-note" else c.id.partition("-")[0] for c in PAPER.claims}
    assert groups == fifteen
    assert not [claim.id for claim in PAPER.claims if claim.not_rebuilt]
    for name in ("C2-conv1", "C3-note", "C6-chexpert", "F1-near", "F8-common"):
        assert _claim(name).derived_from


def test_every_claim_is_asked_offline_or_is_about_the_papers_own_data() -> None:
    only_paper = {
        "C6-domainnet", "C6-chexpert", "F1-real", "F1-faster-paper", "F2-gap-shrinks-paper",
        "F2-no-pattern-paper", "F2-faster-paper", "F5-real-on-quickdraw", "F5-real-on-clipart",
        "F5-clipart-on-real",
    }  # fmt: skip
    assert {c.id for c in PAPER.claims if c.profiles == ("paper",)} == only_paper


def test_the_basins_numbers_are_marked_as_others() -> None:
    assert REPORTED is not None
    basin = [table for table in REPORTED.tables if table.suite == "basin"]
    assert {table.metric for table in basin} == {"basin/epsilon", "basin/delta"}
    for table in basin:
        assert "third-party" in table.source
        assert all("third-party" in (entry.note or "") for entry in table.entries)


def _claim(name: str):  # type: ignore[no-untyped-def]
    return next(claim for claim in PAPER.claims if claim.id == name)
