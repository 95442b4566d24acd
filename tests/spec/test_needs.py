"""What penalties need is measured first, once for all that need it; and where cells start."""

from __future__ import annotations

import pytest

from bench.errors import SpecError
from bench.spec.cell import Parent
from bench.spec.recipe import HeldOut
from bench.spec.work import Measure, Start

from .conftest import SUITE

PLUGIN = '''
import a_module_that_does_not_exist

raise RuntimeError("a suite is read without running its plug-ins")


@penalty("near")
class Near(Penalty):
    """Needs two measurements and the source's maps."""
    needs = ("importance", "source_maps", "channel-attention")
    weight: float = 1.0


@penalty("also-near")
class AlsoNear(Penalty):
    """Needs one of them."""
    needs = ("importance",)


@penalty("same-name")
class SameName(Penalty):
    """Shares its name with a measurement."""
    needs = ("same-name",)


@measurement("importance")
class Importance(Measurement):
    """Of the start, on the source's data."""
    roles = ("start",)
    data = "source"
    batches: PositiveInt = 3
    scale: float = 1.0


@measurement("same-name")
class Other(Measurement):
    """Of no network, on the task's data."""


@measurement("free")
class Free(Measurement):
    """Of nothing."""
    data = "none"
'''
BASE = (
    SUITE.replace("weights: random", "weights: 'stage:source'")
    .replace("method: [plain, l2]", "method: [near, both, other]")
    .replace(
        "profiles:",
        """  near: {penalties: {near: {}}}
  both: {penalties: {near: {weight: 2}, also-near: {}}}
  other: {penalties: {also-near: {}}, recipe: {steps: 3}}
plugins: [mine.py]
stages:
  source:
    dataset: fractals
    sampling_rate: 1.0
    method: plain
    seed: 0
    recipe: {image: {resize: 40, size: 36}}
    task: {long_tail: {imbalance: 5}, augmentation: {flip: false}}
profiles:""",
    )
)


@pytest.fixture
def load(suite, plan):
    """A function that loads a suite beside the plug-in."""
    (suite().parent / "mine.py").write_text(PLUGIN)
    return plan


def of(found, kind):
    return {p.cell.id: p.cell for p in found.behind if p.cell.kind == kind}


def test_a_need_is_a_parent_that_is_measured_before(load):
    found = load(BASE)
    importances, attentions = of(found, "importance"), of(found, "channel-attention")
    (source,) = of(found, "train")
    for planned in found.shown:
        method, parents = planned.place["method"], planned.cell.parents
        needs = {"importance"} if method == "other" else {"importance", "channel-attention"}
        assert set(parents) == {"start", *needs}
        assert {parents[role].artifact for role in needs} == {"arrays"}
        importance = importances[parents["importance"].id]
        assert importance.parents == {"start": Parent(source)}
        assert isinstance(importance.work, Measure)
        assert importance.work.starts == {"start": Start("test_resnet", "stage")}
        assert importance.seed == planned.seed
        if "channel-attention" in needs:
            task = attentions[parents["channel-attention"].id].tasks[""]
            own = planned.cell.tasks[""]
            assert (task.dataset, task.sampling_rate) == (own.dataset, own.sampling_rate)
            # As the cell sees its images, but for chance.
            assert (task.image, task.augmentation) == (planned.cell.recipe.image, None)
        assert planned.level == 2
    assert {p.level for p in found.behind if p.cell.kind != "train"} == {1}
    assert {p.name for p in found.behind} == {"stage source", "importance", "channel-attention"}


def test_a_measurement_is_shared_by_all_that_need_the_same(load):
    found = load(BASE)
    # On the source's data, so not by dataset, rate or method: by seed alone.
    assert len(of(found, "importance")) == 2
    assert len(of(found, "channel-attention")) == 2 * 2 * 2
    assert len(found.shown) == 2 * 2 * 3 * 2


def test_data_of_the_source_are_the_stages_task(load):
    for cell in of(load(BASE), "importance").values():
        task = cell.tasks[""]
        assert (task.dataset, task.sampling_rate) == ("fractals", 1.0)
        assert task.long_tail.imbalance == 5
        assert (task.image.size, task.augmentation) == (36, None)


def test_data_of_the_source_need_one(load):
    with pytest.raises(
        SpecError, match=r"axes.weights: importance is measured on the task .*\n.*stage"
    ):
        load(BASE.replace("weights: 'stage:source'", "weights: random"))


def test_settings_of_a_measurement_are_the_recipes(load):
    said = "recipe: {measurements: {importance: {batches: 9}}}"
    everywhere = BASE.replace(
        "steps: 10\n", "steps: 10\n  measurements: {importance: {batches: 9}, free: {}}\n"
    )
    settings = [c.work.measurement.settings for c in of(load(everywhere), "importance").values()]
    assert settings == [{"batches": 9, "scale": 1.0}] * 2
    # A method may say them too; the others keep theirs.
    one = BASE.replace("{also-near: {}}, recipe: {steps: 3}", f"{{also-near: {{}}}}, {said}")
    batches = sorted(
        c.work.measurement.settings["batches"] for c in of(load(one), "importance").values()
    )
    assert batches == [3, 3, 9, 9]
    dotted = BASE.replace("seed: 2", "seed: 1\n  recipe.measurements.importance.scale: [1, 2]")
    found = load(dotted)
    assert len(of(found, "importance")) == 2
    for planned in found.shown:
        importance = found.unique()[planned.cell.parents["importance"].id]
        scale = planned.place["recipe.measurements.importance.scale"]
        assert importance.work.measurement.settings["scale"] == scale


def test_settings_of_a_measurement_act_through_it_alone(load):
    changed = BASE.replace("steps: 10\n", "steps: 10\n  measurements: {importance: {batches: 9}}\n")
    one, other = load(BASE), load(changed)
    assert not set(of(one, "importance")) & set(of(other, "importance"))
    assert set(of(one, "train")) == set(of(other, "train"))
    assert set(of(one, "channel-attention")) == set(of(other, "channel-attention"))
    assert all(a.cell.work.canonical == b.cell.work.canonical
               for a, b in zip(one.shown, other.shown, strict=True))  # fmt: skip
    assert not {p.cell.id for p in one.shown} & {p.cell.id for p in other.shown}


def test_a_measurement_may_be_called_as_its_penalty_and_look_at_no_network(load):
    text = BASE.replace("{penalties: {near: {}}}", "{penalties: {same-name: {}}}")
    for planned in load(text).shown:
        if planned.place["method"] == "near":
            assert set(planned.cell.parents) == {"start", "same-name"}
    assert all(not cell.parents for cell in of(load(text), "same-name").values())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "steps: 10\n",
            "steps: 10\n  measurements: {importanc: {}}\n",
            r"recipe.measurements.importanc: is not a known measurement\n.*'importance'",
        ),
        (
            "steps: 10\n",
            "steps: 10\n  measurements: {importance: {batch: 1}}\n",
            r"recipe.measurements.importance.batch: unknown key\n.*'batches'",
        ),
        (
            "steps: 10\n",
            "steps: 10\n  measurements: [importance]\n",
            r"recipe.measurements: must be a mapping",
        ),
        (
            "steps: 10\n",
            "steps: 10\n  measurements: {importance: 3}\n",
            r"recipe.measurements.importance: must be a mapping",
        ),
    ],
)
def test_wrong_settings_of_a_measurement_are_named(load, old, new, message):
    with pytest.raises(SpecError, match=message) as caught:
        load(BASE.replace(old, new, 1))
    assert caught.value.line == 11


@pytest.mark.parametrize(
    ("needs", "message"),
    [
        (
            '("importanc",)',
            r"penalty 'near' needs 'importanc', which is no measurement\n.*'importance'",
        ),
        (
            '("distance",)',
            r"mine.py: needs: the penalty .near. needs distance, which measures first, second",
        ),
    ],
)
def test_a_need_that_no_training_can_meet_is_named(suite, plan, needs, message):
    wrong = PLUGIN.replace('("importance", "source_maps", "channel-attention")', needs)
    (suite().parent / "mine.py").write_text(wrong)
    with pytest.raises(SpecError, match=message):
        plan(BASE)


def test_several_tasks_have_no_single_measurement(load):
    with pytest.raises(SpecError, match=r"tasks: a penalty needs channel-attention"):
        load(BASE + "tasks: {a: {}, b: {}}\n" + "table: {metric: a/test/top1}\n")


def test_random_weights_have_no_head_that_a_penalty_could_need(load):
    wrong = SUITE.replace("method: [plain, l2]", "method: [plain, near]")
    wrong = wrong.replace("  l2: {", "  near: {penalties: {lwf: {}}}\n  l2: {")
    with pytest.raises(SpecError, match=r"axes.weights: are random, and the penalty 'lwf' needs"):
        load(wrong)


# -- starts --------------------------------------------------------------------------------------

STAGED = (
    SUITE.replace("weights: random", "weights: 'stage:source'")
    + "stages:\n  source: {dataset: fractals, sampling_rate: 1.0, method: plain}\n"
)


@pytest.mark.parametrize(
    ("state", "artifact"),
    [
        ("", "checkpoint"),
        ("@start", "checkpoint@start"),
        ("@0", "checkpoint@start"),
        ("@3", "checkpoint@step 3"),
        ("@10", "checkpoint@step 10"),
    ],
)
def test_a_cell_starts_from_any_state_of_a_stage(plan, state, artifact):
    found = plan(STAGED.replace("stage:source", f"stage:source{state}"))
    assert {p.cell.parents["start"].artifact for p in found.shown} == {artifact}
    # Whatever its children ask for, the stage is the same.
    assert {p.cell.id for p in found.behind} == {p.cell.id for p in plan(STAGED).behind}
    assert {p.cell.work.weights for p in found.shown} == {"stage"}


PARTLY = STAGED.replace("  l2: {", "  still: {trainable: head}\n  l2: {").replace(
    "method: plain}", "method: still}"
)


def test_a_cell_of_a_patch_needs_what_the_stage_started_from(plan):
    found = plan(PARTLY.replace("stage:source'", "stage:source@patch'"))
    stages = {p.cell.seed: p.cell.id for p in found.behind}
    for planned in found.shown:
        # What the stage started from is made again from its own seed.
        parents = {role: (p.id, p.artifact) for role, p in planned.cell.parents.items()}
        assert parents == {"start": (stages[planned.cell.seed], "patch")}
        assert planned.cell.work.weights == "stage"
    assert {p.cell.id for p in found.behind} == {p.cell.id for p in plan(PARTLY).behind}


def test_patches_of_patches_go_down_to_a_body(plan):
    below = "  middle: {weights: 'stage:source@patch', method: still, dataset: digits}\n"
    below += "  last: {weights: 'stage:middle@patch', method: still, dataset: digits}\n"
    text = PARTLY.replace("'stage:source'", "'stage:last@patch'", 1).replace(
        "  source: {", below + "  source: {weights: 'stage:first@3', "
    )
    text = text.replace("  source: {", "  first: {dataset: glyphs, method: plain}\n  source: {")
    found = plan(text)
    names = {p.cell.id: p.name for p in found.behind}
    for planned in found.shown:
        assert {r: (names[p.id], p.artifact) for r, p in planned.cell.parents.items()} == {
            "start": ("stage last", "patch"),
            "body": ("stage middle", "patch"),
            "body of body": ("stage source", "patch"),
            "body of body of body": ("stage first", "checkpoint@step 3"),
        }


def test_a_patch_of_everything_is_refused(plan):
    with pytest.raises(SpecError, match=r"stages.source.*: trains all of its network") as caught:
        plan(STAGED.replace("stage:source", "stage:source@patch"))
    assert "stage:source, without @patch" in str(caught.value)


def test_a_stage_does_not_average_its_statistics_anew_because_its_children_do(plan):
    anew = plan(STAGED.replace("  steps: 10\n", "  steps: 10\n  statistics: averaged-anew\n"))
    assert {p.cell.recipe.statistics for p in anew.shown} == {"averaged-anew"}
    assert {p.cell.id for p in anew.behind} == {p.cell.id for p in plan(STAGED).behind}


def test_states_are_values_of_an_axis(plan):
    text = STAGED.replace("'stage:source'", "['stage:source@3', 'stage:source@7', random]")
    found = plan(text)
    assert {
        (p.place["weights"], *(v.artifact for v in p.cell.parents.values())) for p in found.shown
    } == {
        ("stage:source@3", "checkpoint@step 3"), ("stage:source@7", "checkpoint@step 7"),
        ("random",),
    }  # fmt: skip
    assert len({p.cell.id for p in found.shown}) == len(found.shown)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("stage:source@11", r"stages.source: trains for 10 steps, .* starts from step 11"),
        ("stage:source@end", r"axes.weights: there are no weights 'stage:source@end'\n"),
        ("stage:sorce@start", r"there are no weights 'stage:sorce@start'\n.*'stage:source'"),
        ("stage:source@-1", r"there are no weights"),
        ("stage:", r"there are no weights"),
    ],
)
def test_a_state_that_no_stage_has_is_named(plan, weights, message):
    with pytest.raises(SpecError, match=message) as caught:
        plan(STAGED.replace("stage:source", weights))
    assert caught.value.line


@pytest.mark.parametrize("weights", ["random", "timm", f"timm@{'a1' * 20}"])
def test_a_head_is_kept_of_something(plan, weights):
    kept = STAGED.replace("steps: 10\n", "steps: 10\n  head: kept\n").replace(
        "method: plain}", "method: plain, recipe: {head: new}}"
    )
    assert {p.cell.recipe.head for p in plan(kept).shown} == {"kept"}
    assert {p.cell.recipe.head for p in plan(kept).behind} == {"new"}
    assert plan(kept.replace("'stage:source'", "'shipped:fractals'"))
    with pytest.raises(SpecError, match=rf"recipe.head: weights '{weights}' have no head to keep"):
        plan(kept.replace("'stage:source'", f"'{weights}'"))


@pytest.mark.parametrize(
    ("stage", "cell", "message"),
    [
        ("classification", "classification", None),
        ("independent-classes", "independent-classes", None),
        ("independent-classes", "classification", "for independent-classes, .* serve classif"),
        ("classification", "independent-classes", "for classification, .* serve independent"),
    ],
)
def test_a_head_is_kept_for_one_objective(plan, stage, cell, message):
    """Two objectives may have heads of one width, whose outputs mean different things."""
    text = STAGED.replace("steps: 10\n", "steps: 10\n  head: kept\n").replace(
        "method: plain}", f"method: plain, recipe: {{head: new}}, task: {{objective: {stage}}}}}"
    )
    text = text.replace("recipe:\n", f"task: {{objective: {cell}}}\nrecipe:\n", 1)
    if message is None:
        assert plan(text).shown
        return
    with pytest.raises(SpecError, match=rf"recipe.head: the head is of a stage .* {message}"):
        plan(text)
    assert plan(text.replace("head: kept", "head: new")).shown


OWN_LOSS = """
@objective("mine")
class Mine(Objective):
    metrics = {"top1": ("%", "highest")}
    score = "top1"
    term = "l2"
"""


def test_no_penalty_in_use_has_the_name_of_a_loss(plan, tmp_path):
    (tmp_path / "mine.py").write_text(OWN_LOSS)
    text = SUITE.replace("axes:", "plugins: [mine.py]\ntask: {objective: mine}\naxes:", 1)
    with pytest.raises(SpecError, match=r"the penalty l2 has the name of the loss of .* mine"):
        plan(text)
    assert plan(text.replace("method: [plain, l2]", "method: plain")).shown


def test_a_stage_says_its_data_in_its_task_too(plan):
    said = STAGED.replace(
        "{dataset: fractals, sampling_rate: 1.0,", "{task: {dataset: fractals, sampling_rate: 1.0},"
    )
    assert [p.cell.id for p in plan(said).cells] == [p.cell.id for p in plan(STAGED).cells]
    wrong = said.replace("dataset: fractals", "dataset: fractal")
    with pytest.raises(SpecError, match=r"stages.source.task.dataset: .*'fractal'.*\n.*'fractals'"):
        plan(wrong)


def test_a_stage_of_a_suite_of_several_tasks_has_one(plan):
    text = STAGED + "tasks: {a: {}, b: {dataset: glyphs}}\ntable: {metric: a/test/top1}\n"
    found = plan(text)
    assert {tuple(p.cell.tasks) for p in found.shown} == {("a", "b")}
    assert {tuple(p.cell.tasks) for p in found.behind} == {("",)}


def test_what_a_training_holds_out_its_measurements_do_not_see(load):
    text = BASE.replace(
        "recipe:", "recipe:\n  validation: 0.25\n  validation_seed: 7\n  validate_every: 5", 1
    )
    for cell in of(load(text), "channel-attention").values():
        assert cell.work.held_out == HeldOut(share=0.25, seed=7)
    # The source's own recipe says what it held out.
    assert {cell.work.held_out for cell in of(load(text), "importance").values()} == {None}
    assert {c.work.held_out for c in of(load(BASE), "channel-attention").values()} == {None}


def test_measurements_that_hold_out_nothing_have_the_id_that_they_had(load):
    for cell in of(load(BASE), "channel-attention").values():
        assert "held_out" not in cell.canonical()


def test_a_measurement_of_a_random_start_is_of_the_one_that_is_trained(load):
    text = BASE.replace("weights: 'stage:source'", "weights: random").replace(
        'needs = ("importance", "source_maps", "channel-attention")', ""
    )
    text = (
        text.replace("near: {penalties: {near: {}}}", "near: {penalties: {delta: {}}}")
        .replace(
            "both: {penalties: {near: {weight: 2}, also-near: {}}}",
            "both: {penalties: {delta: {maps: 2}}}",
        )
        .replace("other: {penalties: {also-near: {}}, recipe: {steps: 3}}", "other: {}")
    )
    found = load(text)
    measured = {
        (c.work.starts["start"].drawn_for, c.dataset)
        for c in of(found, "channel-attention").values()
    }
    assert measured == {((p.cell.dataset,), p.cell.dataset) for p in found.shown}
