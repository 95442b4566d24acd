from __future__ import annotations

import itertools
import json
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import SUITE


def labels(plan):
    return [dict(p.labels) for p in plan.cells if p.labels]


def cell(plan, **wanted):
    found = [
        p.cell for p in plan.cells if p.labels and all(p.labels[k] == v for k, v in wanted.items())
    ]
    assert len(found) == 1, found
    return found[0]


def penalties(cell):
    return {use.name: use.settings for use in cell.work.penalties}


def test_cells_are_the_product_of_the_axes(plan):
    expected = {
        (d, r, m, s)
        for d, r, m, s in itertools.product(
            ["glyphs", "digits"], [0.15, 0.3], ["plain", "l2"], [0, 1]
        )
    }
    found = [(x["dataset"], x["sampling_rate"], x["method"], x["seed"]) for x in labels(plan())]
    assert len(found) == len(expected)
    assert set(found) == expected


def test_a_seed_list_gives_those_seeds(plan):
    found = plan(SUITE.replace("seed: 2", "seed: [7, 3]"))
    assert {x["seed"] for x in labels(found)} == {7, 3}


def test_when_overrides_the_recipe_of_matching_cells_only(plan):
    found = plan(SUITE + "when:\n  - {dataset: digits, recipe: {steps: 99}}\n")
    assert cell(found, dataset="digits", sampling_rate=0.3, method="l2", seed=0).recipe.steps == 99
    assert cell(found, dataset="glyphs", sampling_rate=0.3, method="l2", seed=0).recipe.steps == 10


def test_when_matches_a_list_of_values_and_several_axes(plan):
    found = plan(
        SUITE
        + "when:\n  - {dataset: [digits, glyphs], sampling_rate: 0.15, method: l2,"
        + " recipe: {steps: 99}}\n"
    )
    steps = {
        (p.labels["sampling_rate"], p.labels["method"]): p.cell.recipe.steps for p in found.cells
    }
    assert steps == {
        (0.15, "l2"): 99, (0.15, "plain"): 10, (0.3, "l2"): 10, (0.3, "plain"): 10
    }  # fmt: skip


def test_a_later_when_wins(plan):
    found = plan(
        SUITE
        + "when:\n  - {dataset: digits, recipe: {steps: 20}}\n"
        + "  - {method: l2, recipe: {steps: 30}}\n"
    )
    assert cell(found, dataset="digits", sampling_rate=0.3, method="l2", seed=0).recipe.steps == 30


def test_when_gives_an_axis_other_values(plan):
    found = plan(SUITE + "when:\n  - {dataset: digits, axes: {sampling_rate: [0.05]}}\n")
    rates = {(x["dataset"], x["sampling_rate"]) for x in labels(found)}
    assert rates == {("glyphs", 0.15), ("glyphs", 0.3), ("digits", 0.05)}


def test_when_excludes(plan):
    found = plan(SUITE + "when:\n  - {dataset: digits, method: l2, exclude: true}\n")
    assert {(x["dataset"], x["method"]) for x in labels(found)} == {
        ("glyphs", "plain"), ("glyphs", "l2"), ("digits", "plain")
    }  # fmt: skip


def test_when_changes_a_methods_parameter(plan):
    found = plan(
        SUITE + "when:\n  - {dataset: digits, methods: {l2: {penalties: {l2: {weight: 0.5}}}}}\n"
    )
    kwargs = {"sampling_rate": 0.3, "method": "l2", "seed": 0}
    weights = {
        dataset: penalties(cell(found, dataset=dataset, **kwargs))["l2"]["weight"]
        for dataset in ("digits", "glyphs")
    }
    assert weights == {"digits": 0.5, "glyphs": 1e-3}


def test_a_profile_lays_over_the_suite_and_extends_another(plan):
    text = SUITE.replace(
        "  offline: {}\n",
        """\
  offline: {recipe: {steps: 20}, axes: {dataset: glyphs}}
  smoke: {extends: offline, axes: {seed: 1}}
""",
    )
    found = plan(text, "smoke")
    assert {x["dataset"] for x in labels(found)} == {"glyphs"}
    assert {p.cell.recipe.steps for p in found.cells} == {20}
    assert {x["seed"] for x in labels(found)} == {0}


def test_another_choice_of_optimizer_replaces_the_first(plan):
    text = SUITE.replace("offline: {}", "offline: {recipe: {optimizer: {adam: {lr: 0.001}}}}")
    recipe = plan(text).cells[0].cell.recipe
    assert recipe.optimizer.choice == "adam"
    assert recipe.optimizer.sgd is None


def test_the_same_choice_of_optimizer_is_merged(plan):
    text = SUITE.replace("offline: {}", "offline: {recipe: {optimizer: {sgd: {momentum: 0.9}}}}")
    sgd = plan(text).cells[0].cell.recipe.optimizer.sgd
    assert (sgd.lr, sgd.momentum) == (0.1, 0.9)


def test_a_dotted_axis_sets_the_recipe(plan):
    text = SUITE.replace("  seed: 2", "  seed: 1\n  recipe.optimizer.sgd.lr: [0.1, 0.01]")
    found = plan(text)
    rates = {
        p.labels["recipe.optimizer.sgd.lr"]: p.cell.recipe.optimizer.sgd.lr for p in found.cells
    }
    assert rates == {0.1: 0.1, 0.01: 0.01}


def test_a_dotted_axis_sets_a_penalty_where_the_method_has_it(plan):
    text = SUITE.replace("  seed: 2", "  seed: 1\n  penalties.l2.weight: [0.1, 0.01]")
    found = plan(text)
    weights = {
        (p.labels["method"], penalties(p.cell).get("l2", {}).get("weight")) for p in found.cells
    }
    assert weights == {("plain", None), ("l2", 0.1), ("l2", 0.01)}
    # Without that part the axis changes nothing, and the cell is shared.
    assert len(found.unique()) == 2 * 2 * 1 + 2 * 2 * 2


def test_a_free_axis_acts_through_when(plan):
    text = SUITE.replace("  seed: 2", "  seed: 1\n  size: [small, large]")
    text += "when:\n  - {size: large, recipe: {steps: 50}}\n"
    assert {p.labels["size"]: p.cell.recipe.steps for p in plan(text).cells} == {
        "small": 10,
        "large": 50,
    }


def test_delta_brings_a_shared_attention_cell(plan):
    text = SUITE.replace("method: [plain, l2]", "method: [delta, delta2]").replace(
        "  plain: {}\n",
        "  delta: {penalties: {delta: {}}}\n  delta2: {penalties: {delta: {}, l2: {}}}\n",
    )
    found = plan(text)
    attention = [p for p in found.cells if p.cell.kind == "channel-attention"]
    # One for each dataset, rate and seed; both methods hold its id.
    assert len(attention) == 2 * 2 * 2
    assert all(not p.labels and not p.shown and p.level == 0 for p in attention)
    for planned in found.cells:
        if planned.labels:
            assert planned.level == 1
            parent = planned.cell.parents["channel-attention"]
            assert parent.artifact == "arrays"
            (match,) = (p.cell for p in attention if p.cell.id == parent.id)
            (task,), (own,) = match.tasks.values(), planned.cell.tasks.values()
            assert (task.dataset, task.sampling_rate, match.seed) == (
                own.dataset, own.sampling_rate, planned.cell.seed,
            )  # fmt: skip


STAGED = (
    SUITE.replace("weights: random", "weights: 'stage:source'")
    + """
stages:
  first: {dataset: fractals, sampling_rate: 1.0, method: plain, seed: 0, recipe: {steps: 7}}
  source: {weights: "stage:first", dataset: glyphs-source, sampling_rate: 1.0, method: l2}
"""
)


def test_a_stage_in_a_row_becomes_a_graph_with_levels(plan):
    found = plan(STAGED)
    by_id = {p.cell.id: p for p in found.cells}
    child = cell(found, dataset="digits", sampling_rate=0.3, method="l2", seed=1)
    source = by_id[child.parents["start"].id]
    first = by_id[source.cell.parents["start"].id]
    assert {p.artifact for p in (*child.parents.values(), *source.cell.parents.values())} == {
        "checkpoint"
    }
    assert [by_id[child.id].level, source.level, first.level] == [2, 1, 0]
    # What a stage does not give is the child's; what it gives is its own.
    assert (source.cell.seed, first.cell.seed) == (1, 0)
    assert first.cell.recipe.steps == 7
    # One first stage for all, one source for each seed.
    assert sum(p.level == 0 for p in found.cells) == 1
    assert sum(p.level == 1 for p in found.cells) == 2


def test_parents_come_before_children(plan):
    seen: set[str] = set()
    for planned in plan(STAGED).cells:
        assert {parent.id for parent in planned.cell.parents.values()} <= seen
        seen.add(planned.cell.id)


def test_a_changed_parent_changes_the_childs_id(plan):
    one = plan(STAGED).cells[-1].cell
    other = plan(STAGED.replace("steps: 7", "steps: 8")).cells[-1].cell
    assert one.id != other.id


def test_weights_of_timm_may_be_pinned_to_a_commit(plan):
    pinned = f"timm@{'a1' * 20}"
    found = plan(SUITE.replace("weights: random", f"weights: {pinned}")).cells[0].cell
    assert found.weights == (pinned,)
    assert found.work.weights == pinned


# -- ids ---------------------------------------------------------------------------------------


def test_an_id_is_the_digest_of_the_canonical_json(plan):
    import hashlib

    one = plan().cells[0].cell
    text = one.canonical()
    assert one.id == hashlib.sha256(text.encode()).hexdigest()[:20]
    data = json.loads(text)
    assert text == json.dumps(data, sort_keys=True, separators=(",", ":"))


def test_names_and_notes_do_not_enter_the_id(plan):
    changed = SUITE.replace("A small suite", "Another title").replace("l2:", "decay:", 1)
    changed = changed.replace("method: [plain, l2]", "method: [plain, decay]")
    assert {p.cell.id for p in plan().cells} == {p.cell.id for p in plan(changed).cells}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("steps: 10", "steps: 11"),
        ("lr: 0.1", "lr: 0.2"),
        ("weight: 1e-3", "weight: 2e-3"),
        ("test_resnet", "test_vit"),
    ],
)
def test_whatever_may_change_the_numbers_changes_the_id(plan, old, new):
    before = plan().cells[-1].cell.id
    after = plan(SUITE.replace(old, new)).cells[-1].cell.id
    assert before != after


def test_the_attention_settings_leave_other_methods_alone(plan):
    text = SUITE.replace(
        "steps: 10", "steps: 10\n  measurements: {channel-attention: {batches: 2}}"
    )
    assert [p.cell.id for p in plan(text).cells] == [p.cell.id for p in plan().cells]


def test_ids_are_the_same_in_another_process(suite):
    file = suite()
    code = (
        "import sys; from pathlib import Path; from bench.spec.plan import load_plan;"
        "print(*[p.cell.id for p in load_plan(Path(sys.argv[1])).cells])"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code, str(file)],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(runs) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    rates=st.lists(st.floats(0.001, 1.0), min_size=1, max_size=4, unique=True),
    seeds=st.integers(1, 4),
    datasets=st.lists(
        st.sampled_from(["glyphs", "digits", "fractals"]), min_size=1, max_size=3, unique=True
    ),
)
def test_every_combination_once_with_its_own_id(plan, rates, seeds, datasets):
    text = (
        SUITE.replace("[0.15, 0.3]", json.dumps(rates))
        .replace("seed: 2", f"seed: {seeds}")
        .replace("[glyphs, digits]", json.dumps(datasets))
    )
    found = plan(text)
    expected = set(itertools.product(datasets, rates, ["plain", "l2"], range(seeds)))
    got = [(x["dataset"], x["sampling_rate"], x["method"], x["seed"]) for x in labels(found)]
    assert len(got) == len(set(got)) == len(found.unique())
    assert set(got) == expected
