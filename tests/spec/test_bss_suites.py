"""BSS: the suites of its figures: their protocol, the networks that they share, their claims."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from bench.spec.cell import Cell
from bench.spec.claim_checks import places_of
from bench.spec.comparisons import comparisons
from bench.spec.paper import load_paper
from bench.spec.plan import Plan, load_plan
from bench.spec.work import Measure, Train

FOLDER = Path(__file__).parents[2] / "suites" / "bss"
TRAINED = ("anchoring", "truncation", "sensitivity")
MEASURED = ("angles", "spectra", "suppression")
CLAIMS = [c for c in load_paper(FOLDER).claims if c.suite in (*TRAINED, *MEASURED)]


@cache
def planned(suite: str, profile: str = "offline") -> Plan:
    return load_plan(FOLDER / f"{suite}.yaml", profile)


def trained(suite: str, profile: str = "offline", **where: object) -> dict[str, Cell]:
    """Return the trainings of a suite, its own and those behind it, by id."""
    cells = {p.cell.id: p.cell for p in planned(suite, profile).cells}
    return {
        key: cell
        for key, cell in cells.items()
        if isinstance(cell.work, Train)
        and all(getattr(cell, name) == value for name, value in where.items())
    }


def penalties(cell: Cell) -> dict[str, Mapping[str, object]]:
    assert isinstance(cell.work, Train)
    return {use.name: use.settings for use in cell.work.penalties}


# -- the papers' protocol ------------------------------------------------------------------------


def test_on_dogs_the_networks_of_the_paper_are_those_of_table_2() -> None:
    table = trained("table2", "paper")
    for suite, shared in {"spectra": 40, "sensitivity": 40, "truncation": 20}.items():
        ours = trained(suite, "paper", dataset="stanford-dogs")
        assert len(ours.keys() & table.keys()) == shared, suite


@pytest.mark.parametrize("suite", [*TRAINED, *MEASURED])
def test_the_figures_have_the_papers_sets_rates_and_five_seeds(suite: str) -> None:
    of = {"anchoring": {"mit-indoor-67"}, "angles": {"mit-indoor-67"}}
    both = {"mit-indoor-67", "stanford-dogs"}
    expected = of.get(suite, both if suite == "spectra" else {"stanford-dogs"})
    cells = trained(suite, "paper").values()
    assert {cell.dataset for cell in cells} == expected
    rates = {0.15, 1.0} if suite == "angles" else {0.15, 0.3, 0.5, 1.0}
    for profile in ("paper", "offline"):
        cells = trained(suite, profile).values()
        assert {task.sampling_rate for c in cells for task in c.tasks.values()} == rates
        assert {cell.seed for cell in cells} == set(range(5))


def test_truncation_and_sensitivity_have_the_values_of_r_and_k() -> None:
    for profile in ("paper", "offline"):
        found = [c.work.patches for c in trained("truncation", profile).values()]  # type: ignore[union-attr]
        r = sorted({use.settings["r"] for patches in found for use in patches})
        assert (r, found.count(())) == ([1, 2, 4, 8], 20)
        bss = [penalties(c).get("bss", {}) for c in trained("sensitivity", profile).values()]
        expected = {(None, None), (1e-3, 1), (1e-3, 4), (1e-3, 8)}
        if profile == "paper":
            expected.add((1e-3, 2))
        assert {(b.get("eta"), b.get("k")) for b in bss} == expected


# -- what is shared ------------------------------------------------------------------------------


def test_offline_every_network_is_trained_once() -> None:
    every = {key for suite in (*TRAINED, *MEASURED) for key in trained(suite)}
    # L2, L2-SP, three values of k and four of r from the far source; from the near one L2 and
    # L2-SP: at four rates and five seeds.
    assert len(every) == (9 + 2) * 4 * 5
    assert len(trained("spectra").keys() & trained("sensitivity").keys()) == 2 * 4 * 5
    assert trained("suppression").keys() < trained("sensitivity").keys()
    assert trained("angles").keys() < trained("anchoring").keys()


def test_ratios_are_between_networks_that_differ_in_bss_alone() -> None:
    for profile in ("paper", "offline", "smoke"):
        cells = {p.cell.id: p.cell for p in planned("suppression", profile).cells}
        for place in planned("suppression", profile).shown:
            network, reference = (cells[place.cell.parents[r].id] for r in ("network", "reference"))
            assert penalties(network).keys() == {"l2", "bss"}
            assert penalties(reference).keys() == {"l2"}
            assert network.seed == reference.seed == place.cell.seed
            assert network.tasks == reference.tasks


def test_angles_are_those_from_the_weights_that_training_began_with() -> None:
    for profile in ("paper", "offline", "smoke"):
        cells = {p.cell.id: p.cell for p in planned("angles", profile).cells}
        for place in planned("angles", profile).shown:
            work = place.cell.work
            assert isinstance(work, Measure)
            tuned = cells[place.cell.parents["second"].id].work
            assert isinstance(tuned, Train)
            assert work.starts["first"].weights == tuned.weights
            assert work.starts["first"].network == tuned.network


# -- claims --------------------------------------------------------------------------------------


def test_no_figure_is_left_out() -> None:
    sources = {claim.source.partition(",")[0] for claim in CLAIMS}
    assert sources == {
        "Figure 1a", "Figure 1b", "Figures 1c and 1d", "Figure 3a", "Figures 3b and 3c",
        "Figure 3c", "Figure 3d",
    }  # fmt: skip


@pytest.mark.parametrize("profile", ["paper", "offline"])
@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_every_claim_of_a_figure_compares_something_in_both_profiles(claim, profile) -> None:
    places = places_of(planned(claim.suite, profile).shown)
    assert comparisons(claim, places)


def test_what_is_said_of_layers_is_said_of_all_of_them() -> None:
    claims = {claim.id: claim for claim in CLAIMS}
    for profile in ("paper", "offline"):
        places = places_of(planned("angles", profile).shown)
        layers = {str(place["measure.layer"]) for place in places}
        low, high = (
            {str(v) for v in claims[name].where["measure.layer"]} & layers
            for name in (
                "low-layers-keep-their-directions",
                "high-layers-turn-where-values-are-small",
            )
        )
        assert low | high == layers
        assert not low & high
        assert all(layer.startswith("layer4") for layer in high)
