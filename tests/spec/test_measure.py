"""Suites that measure networks: of stages, in any state, or never trained."""

from __future__ import annotations

import pytest

from bench.errors import SpecError
from bench.spec.cell import Parent
from bench.spec.plan import load_plan
from bench.spec.work import Measure, Start

BASE = """
title: How far training goes
axes:
  backbone: [test_resnet, test_vit]
  dataset: [glyphs, digits]
  seed: 2
recipe:
  steps: 20
  optimizer: {sgd: {lr: 0.1}}
stages:
  source: {dataset: fractals, sampling_rate: 1.0, method: plain, seed: 0}
  target: {weights: "stage:source", sampling_rate: 0.3, method: plain}
measure:
  part: distance
  roles:
    first: {stage: target, checkpoint: start}
    second: {stage: target}
methods:
  plain: {}
  l2: {penalties: {l2: {}}}
table: {rows: [backbone], columns: dataset, metric: distance}
profiles:
  offline: {}
"""
LINES = BASE.lstrip().splitlines()


def changed(*pairs: tuple[str, str], end: str = "") -> str:
    text = BASE
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text + end


def trained(found, cell, role):
    """The cell that a measured network is of."""
    return found.unique()[cell.parents[role].id]


def test_measurements_are_the_cells_of_the_table(plan):
    found = plan(BASE)
    assert {(p.place["backbone"], p.place["dataset"], p.seed) for p in found.shown} == {
        (b, d, s) for b in ("test_resnet", "test_vit") for d in ("glyphs", "digits") for s in (0, 1)
    }
    assert all(p.name == "" and p.cell.kind == "distance" and p.level == 2 for p in found.shown)
    assert {p.name for p in found.behind} == {"stage source", "stage target"}
    # A source for each backbone, a target for each backbone, dataset and seed.
    assert [sum(p.name == f"stage {n}" for p in found.behind) for n in ("source", "target")] == [
        2, 8,
    ]  # fmt: skip
    seen: set[str] = set()
    for planned in found.cells:
        assert {parent.id for parent in planned.cell.parents.values()} <= seen
        seen.add(planned.cell.id)


def test_a_role_is_a_state_of_a_stage(plan):
    for planned in plan(BASE).shown:
        cell = planned.cell
        assert isinstance(cell.work, Measure)
        first, second = cell.parents["first"], cell.parents["second"]
        assert first.id == second.id
        assert (first.artifact, second.artifact) == ("checkpoint@start", "checkpoint")
        assert set(cell.work.starts.values()) == {Start(planned.place["backbone"], "stage")}
        assert (cell.backbone, cell.weights) == (planned.place["backbone"], ("stage",))
        assert (cell.recipe, cell.work.task, cell.datasets, cell.dataset) == (None, None, (), "")
        assert cell.parts == (("measurement", "distance"),)


def test_what_a_role_says_goes_before_the_axes(plan):
    found = plan(
        changed(
            (
                "second: {stage: target}",
                "second: {stage: target, dataset: fractals, sampling_rate: 0.5, method: l2,"
                " backbone: test_vit, seed: 7}",
            ),
            ("sampling_rate: 0.3, method: plain}", "method: null}"),
            ("axes:\n", "axes:\n  method: [plain]\n  sampling_rate: 0.4\n"),
        )
    )
    for planned in found.shown:
        first, second = (trained(found, planned.cell, r) for r in ("first", "second"))
        assert (first.dataset, first.seed) == (planned.place["dataset"], planned.seed)
        assert (second.dataset, second.seed, second.backbone) == ("fractals", 7, "test_vit")
        assert [c.tasks[""].sampling_rate for c in (first, second)] == [0.4, 0.5]
        assert [[u.name for u in c.work.penalties] for c in (first, second)] == [[], ["l2"]]


def test_a_stages_own_words_go_before_a_roles(plan):
    found = plan(changed(("second: {stage: target}", "second: {stage: target, method: l2}")))
    assert not any(trained(found, p.cell, "second").work.penalties for p in found.shown)


def test_seed_plus_is_added_to_the_cells_seed(plan):
    found = plan(changed(("second: {stage: target}", "second: {stage: target, seed_plus: 100}")))
    for planned in found.shown:
        first, second = (trained(found, planned.cell, r) for r in ("first", "second"))
        assert (first.seed, second.seed) == (planned.seed, planned.seed + 100)
        assert planned.cell.seed == planned.seed
        # The source's seed is its own, and the target's is not added twice.
        assert {trained(found, c, "start").seed for c in (first, second)} == {0}


def test_seed_plus_reaches_through_a_chain_once(plan):
    found = plan(
        changed(
            ("method: plain, seed: 0}", "method: plain}"),
            ("second: {stage: target}", "second: {stage: target, seed_plus: 3}"),
        )
    )
    for planned in found.shown:
        second = trained(found, planned.cell, "second")
        assert (second.seed, trained(found, second, "start").seed) == (planned.seed + 3,) * 2


ROLE = "second: {stage: target}"


@pytest.mark.parametrize(("seeds", "added"), [("2", 1), ("[0, 5]", 5), ("5", 4), ("[3, 4]", -1)])
def test_no_two_seeds_of_a_place_have_one_network(plan, seeds, added):
    role = (ROLE, f"second: {{stage: target, seed_plus: {added}}}")
    with pytest.raises(
        SpecError, match=r"measure.roles.second.seed_plus: the cells of seeds \d and \d share"
    ) as error:
        plan(changed(role, ("seed: 2", f"seed: {seeds}")))
    # What the remedy says is right.
    enough = int((error.value.remedy or "").split()[1])
    found = plan(
        changed((ROLE, role[1].replace(str(added), str(enough))), ("seed: 2", f"seed: {seeds}"))
    )
    networks = [p.id for c in found.shown for p in c.cell.parents.values()]
    assert len({*networks}) == 2 * len(found.shown)


def test_networks_of_two_stages_drawn_from_one_seed_are_not_independent_either(plan):
    other = "stages:\n  other: {sampling_rate: 0.5, method: plain}"
    role = (ROLE, "second: {stage: other, seed_plus: 1}")
    with pytest.raises(SpecError, match="seed_plus: the cells of seeds 0 and 1 share"):
        plan(changed(("stages:", other), role))


def test_what_every_seed_has_is_a_condition_and_no_seeds_own(plan):
    # Seed 7 is none of the suite's; seed 1 is, and its cell would compare a network with itself.
    assert plan(changed((ROLE, "second: {stage: target, seed: 7}"))).shown
    with pytest.raises(SpecError, match=r"roles.second: at seed 1 the network in the role first"):
        plan(changed((ROLE, "second: {stage: target, seed: 1}")))


def test_further_seeds_are_independent_too(suite):
    file = suite(changed((ROLE, "second: {stage: target, seed_plus: 3}")))
    assert load_plan(file, seeds=3).shown
    with pytest.raises(SpecError, match="share what is drawn"):
        load_plan(file, seeds=4)


@pytest.mark.parametrize(("given", "artifact"), [(5, "step 5"), (20, "step 20"), (0, "start")])
def test_a_state_after_so_many_steps(plan, given, artifact):
    found = plan(changed(("checkpoint: start", f"checkpoint: {given}")))
    assert {p.cell.parents["first"].artifact for p in found.shown} == {f"checkpoint@{artifact}"}


def test_a_network_that_nothing_has_trained(plan):
    found = plan(
        changed(
            ("first: {stage: target, checkpoint: start}", 'first: {weights: "shipped:fractals"}'),
            ("second: {stage: target}", "second: {weights: random, backbone: mlp}"),
            ("[test_resnet, test_vit]", "test_resnet"),
            ("[glyphs, digits]", "glyphs"),
        )
    )
    assert not found.behind
    cell = found.shown[0].cell
    assert cell.parents == {}
    assert cell.weights == ("shipped:fractals", "random")
    assert cell.backbone == "test_resnet+mlp"
    assert cell.parts == (("measurement", "distance"), ("network", "mlp"))
    assert len(found.unique()) == len(found.shown) == 2


def test_metrics_and_curves_are_the_parts_with_their_axis(plan):
    found = plan(BASE)
    assert {n: (m.unit, m.best, m.axis) for n, m in found.metrics.items()} == {
        "distance": ("", "lowest", ""), "distance/relative": ("", "lowest", ""),
    }  # fmt: skip
    assert {n: m.axis for n, m in found.curves.items()} == {"distance/module": "module"}
    (shown,) = found.suite.metrics
    assert (shown.metric, shown.best) == ("distance", "lowest")


# -- measurements of data ------------------------------------------------------------------------

ATTENTION = changed(
    ("  part: distance\n", "  part: {channel-attention: {batches: 2}}\n"),
    ("    first: {stage: target, checkpoint: start}\n    second", "    start"),
    ("metric: distance", "metric: train/top1"),
)


def test_a_measurement_looks_at_the_suites_task(plan):
    text = ATTENTION + "task: {sampling_rate: 0.2, transforms: {block-shuffle: {block: 4}}}\n"
    for planned in plan(text).shown:
        cell = planned.cell
        assert (cell.dataset, cell.tasks[""].sampling_rate) == (planned.place["dataset"], 0.2)
        assert cell.tasks[""].transforms[0].settings == {"block": 4}
        # As the recipe has images, which the measurement has not.
        assert cell.tasks[""].image.size == 224
        assert cell.work.measurement.given == {"batches": 2}
        assert cell.work.measurement.settings["lr"] == 0.01


def test_the_data_measured_are_not_what_the_stage_was_trained_on(plan):
    found = plan(
        ATTENTION.replace(
            "start: {stage: target}", "start: {stage: target, dataset: fractals}"
        ).replace("[glyphs, digits]", "glyphs")
        + "task: {dataset: digits, sampling_rate: 0.2}\n"
    )
    for planned in found.shown:
        assert (planned.cell.dataset, planned.cell.tasks[""].sampling_rate) == ("digits", 0.2)
        target = trained(found, planned.cell, "start")
        assert (target.dataset, target.tasks[""].sampling_rate) == ("fractals", 0.3)


def test_a_when_is_laid_over_the_measurement_and_its_images(plan):
    text = ATTENTION + (
        "when:\n"
        "  - {dataset: digits, measure: {part: {channel-attention: {batches: 7}}},"
        " recipe: {image: {resize: 36, size: 32}}}\n"
        "  - {backbone: test_vit, measure: {roles: {start: {checkpoint: 3}}}}\n"
    )
    for planned in plan(text).shown:
        cell, place = planned.cell, planned.place
        digits = place["dataset"] == "digits"
        assert cell.work.measurement.settings["batches"] == (7 if digits else 2)
        assert cell.tasks[""].image.size == (32 if digits else 224)
        artifact = "checkpoint@step 3" if place["backbone"] == "test_vit" else "checkpoint"
        assert cell.parents["start"].artifact == artifact


@pytest.mark.parametrize("part", ["channel-attention", "{channel-attention: {batches: 2}}"])
def test_dotted_axes_set_a_measurements_parameters(plan, part):
    text = ATTENTION.replace("{channel-attention: {batches: 2}}", part).replace(
        "seed: 2", "seed: 1\n  measure.temperature: [1, 5]\n  task.long_tail.imbalance: [2, 9]"
    )
    found = {
        (p.place["measure.temperature"], p.cell.work.measurement.settings["temperature"],
         p.place["task.long_tail.imbalance"], p.cell.tasks[""].long_tail.imbalance)
        for p in plan(text).shown
    }  # fmt: skip
    assert found == {(t, t, i, i) for t in (1, 5) for i in (2, 9)}


PART = '''
@measurement("mine")
class Mine(Measurement):
    """Mine."""
    {declared}
    metrics = {{"mine": ("px", "highest")}}
    curves = {{"mine": "lambda"}}
    k: PositiveInt
'''


def with_part(suite, declared: str, roles: str, *pairs: tuple[str, str], end: str = "") -> str:
    (suite().parent / "mine.py").write_text(PART.format(declared=declared))
    text = changed(
        ("metric: distance", "metric: mine"),
        ("  part: distance\n", "  part: {mine: {k: 3}}\n"),
        ("profiles:", "plugins: [mine.py]\nprofiles:"),
        *pairs,
    )
    start, end_ = text.index("  roles:\n"), text.index("methods:")
    return f"{text[:start]}  roles: {roles}\n{text[end_:]}{end}"


def test_a_required_parameter_may_be_an_axis(suite, plan):
    text = with_part(
        suite, 'data = "none"', "{}", ("{k: 3}", "{}"), ("seed: 2", "seed: 1\n  measure.k: [1, 2]"),
        ("  backbone: [test_resnet, test_vit]\n", ""), ("[glyphs, digits]", "glyphs"),
        ("rows: [backbone], columns: dataset", "rows: [dataset], columns: measure.k"),
    )  # fmt: skip
    found = plan(text)
    assert {p.cell.work.measurement.given["k"] for p in found.shown} == {1, 2}
    assert found.metrics["mine"].unit == "px"
    assert (found.curves["mine"].axis, found.curves["mine"].unit) == ("lambda", "px")
    assert not found.behind


def test_a_measurement_of_the_sources_data_has_its_starts_task(suite, plan):
    text = with_part(
        suite, 'roles = ("start",)\n    data = "source"', "{start: {stage: source}}",
        ("dataset: fractals,", "dataset: fractals, task: {long_tail: {imbalance: 4}},"),
        ("[glyphs, digits]", "glyphs"),
    )  # fmt: skip
    for planned in plan(text).shown:
        task = planned.cell.tasks[""]
        assert (task.dataset, task.long_tail.imbalance) == ("fractals", 4)
        assert (task.image.size, task.augmentation) == (224, None)
    with pytest.raises(SpecError, match=r"measure.roles: mine is measured on the task .* no stage"):
        plan(text.replace("{stage: source}", "{weights: random}"))


def test_predictions_are_read_from_a_stage(suite, plan):
    declared = 'roles = ("start",)\n    data = "none"\n    reads = "predictions"'
    text = with_part(suite, declared, "{start: {stage: target}}")
    assert {p.cell.parents["start"].artifact for p in plan(text).shown} == {"predictions"}
    for role in ("{weights: random}", "{stage: target, checkpoint: start}"):
        with pytest.raises(SpecError, match=r"measure.roles.start: mine reads predictions"):
            plan(text.replace("{stage: target}", role))
    unseen = "steps: 20\n  validation: 0.1\n  evaluation: {test: false}"
    assert "steps: 20" in text
    with pytest.raises(SpecError, match="leaves the test split alone"):
        plan(text.replace("steps: 20", unseen))


def test_a_measurement_without_data_does_not_look_for_any(suite, plan):
    axes = "  backbone: [test_resnet, test_vit]\n  dataset: [glyphs, digits]\n"
    text = with_part(
        suite, 'data = "none"', "{}", (axes, "  backbone: mlp\n  measure.k: [1, 2]\n"),
        ("columns: dataset", "columns: measure.k"),
    )  # fmt: skip
    assert all(p.cell.work.task is None for p in plan(text).shown)


# -- mistakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "field", "message"),
    [
        ("second: {stage: target}", "third: {stage: target}", "measure.roles",
         "distance measures first, second, not first, third"),
        ("    second: {stage: target}\n", "", "measure.roles",
         "distance measures first, second, not first"),
        ("second: {stage: target}", "second: {stage: tarket}", "measure.roles.second.stage",
         r"there is no stage 'tarket'\n.*'target'"),
        ("second: {stage: target}", "second: {}", "measure.roles.second",
         "names either a stage, or weights"),
        ("second: {stage: target}", "second: {stage: target, weights: random}",
         "measure.roles.second", "names either a stage, or weights"),
        ("second: {stage: target}", "second: {weights: randm}", "measure.roles.second.weights",
         r"there are no weights 'randm'\n.*'random'"),
        ("second: {stage: target}", "second: {weights: 'stage:target'}",
         "measure.roles.second.weights", "names a stage as weights"),
        ("second: {stage: target}", "second: {weights: random, seed_plus: 1}",
         "measure.roles.second", "only a stage has seed_plus of its own"),
        ("second: {stage: target}", "second: {stage: target, seed: 1, seed_plus: 1}",
         "measure.roles.second", "seed and seed_plus exclude each other"),
        ("second: {stage: target}", "second: {stage: target, seed_plus: -1}",
         "measure.roles.second.seed_plus", "adds -1 to the seed 0, and no seed is below 0"),
        ("second: {stage: target}", "second: {stage: target, dataset: glyps}",
         "measure.roles.second.dataset", r"'glyps' is neither .*\n.*'glyphs'"),
        ("second: {stage: target}", "second: {stage: target, method: l3}",
         "measure.roles.second.method", r"'l3' is not defined"),
        ("checkpoint: start", "checkpoint: begin", "measure.roles.first.checkpoint", "'start'"),
        ("checkpoint: start", "checkpoint: -3", "measure.roles.first.checkpoint", "."),
        ("checkpoint: start", "checkpoint: 21", "stages.target",
         "trains for 20 steps, and a cell starts from step 21"),
        ("part: distance", "part: distanc", "measure.part",
         r"is not a known measurement\n.*'distance'"),
        ("part: distance", "part: {distance: {norm: 1}}", "measure.part.distance.norm",
         "unknown key"),
        ("part: distance", "part: {distance: {}, channel-attention: {}}", "measure.part",
         "must name exactly one measurement"),
        ("part: distance", "parts: distance", "measure.part", "is required|unknown key"),
        ("metric: distance", "metric: test/top1", "table.metric",
         r"'test/top1' is not a metric\n.*distance"),
        ("  seed: 2\n", "", "axes", "the axis seed is required"),
        ("backbone: [test_resnet, test_vit]", "backbons: [x]", "axes.backbons",
         r"changes nothing\n.*'backbone'"),
    ],
)  # fmt: skip
def test_a_wrong_measurement_is_named(plan, old, new, field, message):
    with pytest.raises(SpecError, match=message) as caught:
        plan(changed((old, new)))
    assert (caught.value.field or "").startswith(field)
    assert caught.value.line


@pytest.mark.parametrize(
    ("end", "field", "message"),
    [
        ("tasks: {a: {}}\n", "tasks", r"a measurement looks at one task\n.*task:"),
        (
            "when: [{dataset: digits, measure: {roles: {first: {stage: sorce}}}}]\n",
            "when.0.measure.roles.first.stage",
            r"no stage 'sorce'\n.*'source'",
        ),
        (
            "when: [{dataset: digits, measure: {part: distanc}}]\n",
            "when.0.measure.part",
            r"is not a known measurement\n.*'distance'",
        ),
    ],
)
def test_a_wrong_overlay_of_a_measurement_is_named(plan, end, field, message):
    with pytest.raises(SpecError, match=message) as caught:
        plan(BASE + end)
    assert caught.value.field == field
    assert caught.value.line == len(LINES) + 1


def test_an_axis_that_the_part_does_not_have_is_an_error(plan):
    text = changed(("seed: 2", "seed: 2\n  measure.lr: [1, 2]"))
    with pytest.raises(SpecError, match=r"table.yaml:6: axes.measure.lr: unknown key"):
        plan(text)


def test_an_axis_or_overlay_of_a_measurement_needs_one(plan):
    from .conftest import SUITE

    with pytest.raises(SpecError, match=r"axes.measure.k: is an axis that changes nothing"):
        plan(SUITE.replace("seed: 2", "seed: 2\n  measure.k: [1, 2]"))
    with pytest.raises(SpecError, match=r"when.0.measure: is laid over nothing\n.*measure:"):
        plan(SUITE + "when: [{method: l2, measure: {part: distance}}]\n")


def test_a_parent_is_an_artifact_of_a_cell():
    assert Parent("0" * 20).artifact == "checkpoint"


def test_a_fixed_transform_is_not_drawn_by_another_seed_than_the_networks(suite, plan):
    declared = 'roles = ("start",)\n    data = "task"'
    shuffled = "task: {transforms: {block-shuffle: {block: 4}}}\n"
    own = with_part(suite, declared, "{start: {stage: target}}") + shuffled
    assert len(plan(own).shown) > 0
    with pytest.raises(SpecError, match=r"measure.roles.start: was trained with seed 7"):
        plan(own.replace("{stage: target}", "{stage: target, seed_plus: 7}"))


def test_a_transform_that_draws_nothing_is_the_same_at_every_seed(suite, plan):
    declared = 'roles = ("start",)\n    data = "task"'
    edges = "task: {transforms: {edges: {}}}\n"
    given = with_part(suite, declared, "{start: {stage: target, seed_plus: 7}}") + edges
    starts = {p.cell.parents["start"].id for p in plan(given).shown}
    assert {p.cell.seed for p in plan(given).behind if p.cell.id in starts} == {7, 8}


@pytest.mark.parametrize(
    ("scores", "told"),
    [("{loss: loss}", "loss is none"), ("{top1: top1}", None), ("{first: top5}", None)],
)
def test_what_is_shown_in_percent_is_a_percentage(plan, scores, told):
    text = changed(
        ("part: distance", f"part: {{scores: {{scores: {scores}}}}}"),
        ("    first: {stage: target, checkpoint: start}\n    second: {stage: target}\n",
         "    network: {stage: target}\n"),
        ("metric: distance", f"metric: test/{scores[1:].partition(':')[0]}"),
    )  # fmt: skip
    if told is None:
        assert plan(text).shown
        return
    with pytest.raises(SpecError, match=told):
        plan(text)
