"""Tasks: what is learnt, one or several at once, of any data, by any network."""

from __future__ import annotations

import pytest

from bench.errors import SpecError
from bench.spec.recipe import Image

from .conftest import SUITE

LIGHT = SUITE.replace("[glyphs, digits]", "digits").replace("[0.15, 0.3]", "0.3")
TABLE = "table: {rows: [backbone], columns: method, metric: a/test/top1}\n"
SEVERAL = LIGHT.replace("  dataset: digits\n  sampling_rate: 0.3\n", "") + TABLE
TASKS = """
tasks:
  a: {dataset: digits}
  b:
    dataset: glyphs
    sampling_rate: 0.5
    transforms: {block-shuffle: {block: 4}}
    image: {resize: 36, size: 32}
    weight: 0.5
"""
OWN = """
datasets:
  mine: {file: mine.safetensors}
  words: {file: words.safetensors, modality: tokens}
  folder: {folder: mine}
"""


def of(found):
    return found.cells[0].cell


def test_a_task_is_the_axes_and_classification(plan):
    (name, task), = of(plan(LIGHT)).tasks.items()  # fmt: skip
    assert (name, task.dataset, task.sampling_rate, task.weight) == ("", "digits", 0.3, 1.0)
    assert (task.objective.name, task.transforms, task.long_tail) == ("classification", (), None)
    assert (task.image, task.augmentation) == (None, None)


def test_what_the_suite_says_of_its_task(plan):
    cell = of(
        plan(
            LIGHT + "task: {long_tail: {imbalance: 100}, transforms: {block-shuffle: {block: 4}},"
            " image: {size: 32, resize: 36}, augmentation: {flip: false}, sampling_rate: 0.7}\n"
        )
    )
    task = cell.tasks[""]
    assert task.long_tail.imbalance == 100
    assert [(use.name, use.settings) for use in task.transforms] == [
        ("block-shuffle", {"block": 4})
    ]
    assert (task.image.size, task.augmentation.flip) == (32, False)
    assert ("transform", "block-shuffle") in cell.parts
    assert task.sampling_rate == 0.7


def test_tasks_lay_over_the_suites_task(plan):
    shared = "task: {sampling_rate: 0.1, transforms: {block-shuffle: {block: 2}}}\n"
    cell = of(plan(SEVERAL + TASKS + shared))
    assert list(cell.tasks) == ["a", "b"]
    a, b = cell.tasks.values()
    assert (a.dataset, a.sampling_rate, b.dataset, b.sampling_rate) == (
        "digits", 0.1, "glyphs", 0.5,
    )  # fmt: skip
    assert [t.transforms[0].settings["block"] for t in (a, b)] == [2, 4]
    assert (a.image, b.image, b.weight) == (None, Image(resize=36, size=32), 0.5)
    assert cell.datasets == ("digits", "glyphs")
    assert cell.dataset == "digits+glyphs"


def test_tasks_may_have_objectives_of_their_own(plan):
    text = SEVERAL.replace("a/test/top1", "a/test/mse") + TASKS
    found = plan(text.replace("{dataset: digits}", "{dataset: digits, objective: regression}"))
    assert {"a/test/mse", "b/test/top1", "a/head/norm", "features/distance"} <= set(found.metrics)
    assert not {"test/top1", "a/test/top1", "b/test/mse"} & set(found.metrics)
    (shown,) = found.suite.metrics
    assert (shown.unit, shown.best) == ("", "lowest")


def test_one_task_has_metrics_without_a_name_and_several_have_theirs(plan):
    assert "test/top1" in plan(LIGHT).metrics
    assert {"a/test/top1", "b/test/top1_error"} <= set(plan(SEVERAL + TASKS).metrics)
    assert plan(SEVERAL + TASKS).metrics["a/test/top1"].unit == "%"


SHARED = "tasks: {a: {dataset: digits}, b: {dataset: digits, head: a, image: {size: 32}}}\n"


def test_tasks_may_share_a_head(plan):
    cell = of(plan(SEVERAL + SHARED))
    assert [task.head for task in cell.tasks.values()] == [None, "a"]
    assert cell.work.shared_heads == {"b": "a"}
    # What is not said is not in the id.
    assert cell.to_json()["work"]["train"]["tasks"]["a"] == {
        "dataset": "digits", "objective": {"classification": {}},
    }  # fmt: skip
    other = of(plan(SEVERAL + SHARED.replace("head: a, ", "")))
    assert other.id != cell.id


def test_a_when_changes_one_task(plan):
    text = SEVERAL + TASKS + "when: [{method: l2, tasks: {b: {weight: 3}}}]\n"
    found = {p.place["method"]: p.cell.tasks for p in plan(text).cells}
    assert [found[m]["b"].weight for m in ("plain", "l2")] == [0.5, 3]
    assert [found[m]["a"].weight for m in ("plain", "l2")] == [1, 1]


def test_a_dotted_axis_sets_every_task(plan):
    text = SEVERAL.replace("seed: 2", "seed: 1\n  task.long_tail.imbalance: [2, 10]") + TASKS
    found = {
        (p.place["task.long_tail.imbalance"], t.long_tail.imbalance)
        for p in plan(text).cells
        for t in p.cell.tasks.values()
    }
    assert found == {(2, 2), (10, 10)}


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        (LIGHT + "tasks: {a/b: {}}\n", "tasks.a/b", "is no name of a task"),
        (LIGHT + "tasks: {a.b: {}}\n", "tasks.a.b", "is no name of a task"),
        (LIGHT + "tasks: {'': {}}\n", "tasks.", "is no name of a task"),
        (
            LIGHT + "when: [{method: l2, tasks: {a/b: {}}}]\n",
            "when.0.tasks.a/b",
            "is no name of a task",
        ),
        (
            LIGHT + "when: [{method: l2, task: {dataset: digit}}]\n",
            "when.0.task.dataset",
            r"'digit' is neither .*\n.*'digits'",
        ),
        (LIGHT + "task: {dataset: digit}\n", "task.dataset", r"'digit' is neither .*\n.*'digits'"),
        (SEVERAL + "tasks: {a: {}}\n", "tasks.a", "names no dataset, and there is no axis of it"),
        (LIGHT + "task: {long_tail: {imbalance: 1}}\n", "task.long_tail.imbalance", "than 1"),
        (LIGHT + "task: {long_tail: 3}\n", "task.long_tail", "must be a mapping"),
        (LIGHT + "task: {head: a}\n", "task.head", "names 'a', which is no task"),
        (
            SEVERAL + SHARED.replace("head: a", "head: aa"),
            "tasks.b.head",
            r"names 'aa', which is no task\n.*'a'",
        ),
        (SEVERAL + SHARED.replace("head: a", "head: b"), "tasks.b.head", "names this task itself"),
        (
            SEVERAL
            + SHARED.replace(
                "a: {dataset: digits}", "a: {dataset: digits, head: c}, c: {}"
            ).replace("b: {", "b: {objective: classification, ")
            + "task: {dataset: digits}\n",
            "tasks.b.head",
            r"names a, which uses the head of c itself\n.*name c",
        ),
        (
            SEVERAL + SHARED.replace("head: a", "head: a, objective: regression"),
            "tasks.b.head",
            "a head for classification cannot serve regression",
        ),
        (
            SEVERAL + SHARED.replace("b: {dataset: digits", "b: {dataset: glyphs"),
            "tasks.b.head",
            "a head for the 10 classes of digits cannot serve the 20 classes of glyphs",
        ),
        (LIGHT + "task: {weight: 0}\n", "task.weight", "greater than 0"),
        (LIGHT + "task: {sampling_rate: 2}\n", "task.sampling_rate", "less than or equal to 1"),
        (LIGHT + "task: {objectiv: x}\n", "task.objectiv", r"unknown key\n.*'objective'"),
        (
            LIGHT + "task: {objective: classify}\n",
            "task.objective",
            r"is not a known objective\n.*'classification'",
        ),
        (
            LIGHT + "task: {transforms: {block-shufle: {}}}\n",
            "task.transforms.block-shufle",
            r"is not a known transform\n.*'block-shuffle'",
        ),
        (
            LIGHT + "task: {transforms: {block-shuffle: {block: 0}}}\n",
            "task.transforms.block-shuffle.block",
            "greater than 0",
        ),
        (
            LIGHT + "tasks: {a: {}, b: {image: {resize: 8, size: 16}}}\n" + TABLE,
            "tasks.b.image",
            "size 16 is larger than resize 8",
        ),
        (
            SEVERAL.replace("a/test/top1", "test/top1") + TASKS,
            "table.metric",
            r"'test/top1' is not a metric|never measured",
        ),
        (
            SEVERAL.replace("a/test/top1", "a/validation/top1") + TASKS,
            "table.metric",
            r"a/validation/top1 is never measured: .*\n.*set recipe.validation",
        ),
    ],
)
def test_a_wrong_task_is_named(plan, text, field, message):
    with pytest.raises(SpecError, match=message) as caught:
        plan(text)
    assert caught.value.field == field
    assert caught.value.line


# -- data that are no images ---------------------------------------------------------------------

VECTORS = LIGHT.replace("dataset: digits", "dataset: mine").replace("test_resnet", "mlp") + OWN


def test_data_that_are_no_images_have_no_image_settings(plan):
    cell = of(plan(VECTORS))
    assert cell.recipe.image is None
    assert cell.recipe.augmentation is None
    # So that what the recipe says of images changes nothing.
    said = VECTORS.replace("steps: 10", "steps: 10\n  image: {size: 32, resize: 32}")
    assert of(plan(said)).id == cell.id
    assert of(plan(LIGHT)).recipe.image == Image()


@pytest.mark.parametrize("other", ["digits", "folder", "words"])
def test_one_network_takes_one_modality(plan, other):
    tasks = f"tasks: {{a: {{dataset: mine}}, b: {{dataset: {other}}}}}\n"
    with pytest.raises(SpecError, match=r"tasks: one network cannot take .* and "):
        plan(SEVERAL.replace("test_resnet", "mlp") + OWN + tasks)


@pytest.mark.parametrize("weights", ["timm", f"timm@{'a1' * 20}"])
def test_timms_weights_are_of_images(plan, weights):
    with pytest.raises(SpecError, match=r"axes.weights: timm's weights are of images\n.*random"):
        plan(VECTORS.replace("weights: random", f"weights: {weights}"))
    assert plan(LIGHT.replace("weights: random", f"weights: {weights}"))


def test_timms_networks_are_of_images(plan):
    with pytest.raises(SpecError, match=r"axes.backbone: timm's networks take images, not vectors"):
        plan(VECTORS.replace("mlp", "test_resnet"))


# -- networks ------------------------------------------------------------------------------------

NETWORKS = """
networks:
  small: {mlp: {widths: [8]}}
  deep: {mlp: {widths: [8, 8, 8], activation: tanh}}
  same: mlp
"""


def test_a_backbone_is_timms_a_part_or_a_name_of_the_suite(plan):
    found = {}
    for plain in ("mlp", "same"):
        text = VECTORS.replace("backbone: mlp", f"backbone: [{plain}, small, deep]") + NETWORKS
        found |= {p.place["backbone"]: p.cell for p in plan(text).cells}
    assert {name: cell.backbone for name, cell in found.items()} == {
        "mlp": "mlp", "same": "mlp", "small": "mlp(widths=(8,))",
        "deep": "mlp(activation=tanh, widths=(8, 8, 8))",
    }  # fmt: skip
    assert found["mlp"].id == found["same"].id
    assert found["mlp"].work.network.settings == {
        "widths": (64, 64), "activation": "relu", "layer_norm": False,
    }  # fmt: skip
    assert all(("network", "mlp") in cell.parts for cell in found.values())
    cell = of(plan(LIGHT))
    assert cell.work.network == "test_resnet"
    assert not [name for kind, name in cell.parts if kind == "network"]


def test_images_may_go_into_a_part(plan):
    assert of(plan(LIGHT.replace("test_resnet", "mlp"))).recipe.image == Image()


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("{x: {mpl: {}}}", r"networks.x: is not a known network\n.*'mlp'"),
        ("{x: {mlp: {width: 3}}}", r"networks.x.mlp.width: unknown key\n.*'widths'"),
        ("{x: {mlp: {widths: [0]}}}", r"networks.x.mlp.widths.*greater than 0"),
        ("{x: {mlp: {widths: 8}}}", r"networks.x.mlp.widths: must be a list"),
        ("{x: {}}", r"networks.x: must name exactly one network"),
        ("{x: 3}", r"networks.x: "),
        ("[mlp]", r"networks: must be a mapping"),
    ],
)
def test_a_wrong_network_is_named_even_if_no_cell_has_it(plan, written, message):
    with pytest.raises(SpecError, match=message) as caught:
        plan(LIGHT + f"networks: {written}\n")
    assert caught.value.line == len(LIGHT.lstrip().splitlines()) + 1


def test_states_of_tasks_with_scores_of_two_kinds_are_not_chosen_between(plan):
    several = TASKS.replace("a: {dataset: digits}", "a: {dataset: digits, objective: regression}")
    text = (SEVERAL + several).replace("a/test/top1", "a/test/mse")
    assert len(plan(text).metrics) > 0
    chosen = "steps: 10\n  validation: 0.1\n  validate_every: 5\n  selection: best-on-validation"
    with pytest.raises(SpecError, match=r"recipe.selection: .* scores, and these are mse and top1"):
        plan(text.replace("steps: 10", chosen))


def test_a_network_of_one_shape_takes_no_images_of_two_sizes(plan):
    text = (SEVERAL + TASKS).replace("test_resnet", "mlp")
    with pytest.raises(SpecError, match=r"tasks: mlp is built .* have 32 and 224 pixels"):
        plan(text)


def test_the_order_of_tasks_is_no_part_of_what_is_done(plan):
    other = "tasks:\n  b: {dataset: glyphs}\n  a: {dataset: digits}\n"
    same = "tasks:\n  a: {dataset: digits}\n  b: {dataset: glyphs}\n"
    cells = [of(plan(SEVERAL + tasks)) for tasks in (other, same)]
    assert cells[0].id == cells[1].id
    # An id that two orders share must stand for one: sums and running statistics depend on it.
    assert [list(cell.tasks) for cell in cells] == [["a", "b"], ["a", "b"]]


def test_an_axis_within_an_objective_that_a_when_replaced_is_an_error(suite, plan):
    suite("", "unused")
    text = LIGHT.replace(
        "  method:", "  kind: [hard, soft]\n  task.objective.regression.x: [1]\n  method:"
    )
    when = "when:\n  - {kind: hard, task: {objective: classification}}\n"
    with pytest.raises(SpecError, match=r"sets regression, and a task has objective"):
        plan(text + when + "task: {objective: {classification: {}}}\n")


@pytest.mark.parametrize("name", ["schedule", "update", "objective"])
def test_a_method_has_no_name_whose_overlay_would_replace_it_whole(plan, name):
    text = LIGHT.replace("plain", name)
    with pytest.raises(SpecError, match=rf"methods.{name}: is a word of suites"):
        plan(text)


@pytest.mark.parametrize("said", ["dataset: rings", "sampling_rate: 0.5"])
def test_what_an_axis_says_is_not_said_of_the_task_too(plan, said):
    axis = said.partition(":")[0]
    pattern = rf"axes.{axis}: changes nothing between .*\n  leave {axis} out of task:"
    with pytest.raises(SpecError, match=pattern):
        plan(SUITE.replace("test_resnet", "mlp") + f"task: {{{said}}}\n")


SIZES = """
tasks:
  small: {image: {resize: 24, size: 24}}
  large: {image: {resize: 32, size: 32}, head: small}
  other: {dataset: digits, sampling_rate: 0.5}
"""
OF_SIZES = """
title: One network of two sizes
task: {augmentation: {flip: false}}
recipe: {steps: 4, optimizer: {sgd: {lr: 0.1}}}
methods: {plain: {}}
profiles: {offline: {}}
"""
STAGED = (
    OF_SIZES
    + """
axes: {backbone: test_resnet, dataset: glyphs, method: plain, seed: 2}
measure:
  part: distance
  roles: {first: {stage: joint, checkpoint: start}, second: {stage: joint}}
table: {rows: [backbone], columns: dataset, metric: distance}
stages:
  joint:
"""
    + SIZES.strip("\n").replace("tasks:", "    tasks:").replace("\n", "\n    ")
)
TABLED = (
    OF_SIZES
    + """
axes: {backbone: test_resnet, weights: random, dataset: glyphs, method: plain, seed: 2}
table: {rows: [dataset], columns: method, metric: small/test/top1}
"""
    + SIZES
)


def test_a_stage_may_have_several_tasks(plan):
    found = plan(STAGED)
    (joint, _) = (p.cell for p in found.behind)
    tasks = joint.tasks
    assert list(tasks) == ["large", "other", "small"]
    assert [tasks[n].image and tasks[n].image.size for n in tasks] == [32, None, 24]
    assert [tasks[n].dataset for n in tasks] == ["glyphs", "digits", "glyphs"]
    assert [tasks[n].sampling_rate for n in tasks] == [1.0, 0.5, 1.0]
    assert [tasks[n].head for n in tasks] == ["small", None, None]
    assert {tasks[n].augmentation.flip for n in tasks} == {False}


def test_a_stage_of_several_tasks_is_the_same_cell_as_one_of_a_table(plan):
    """So that a suite of measurements reads what another suite's cells have left."""
    in_table = {planned.cell.id for planned in plan(TABLED).shown}
    assert len(in_table) == 2
    assert in_table == {planned.cell.id for planned in plan(STAGED).behind}


def test_what_is_wrong_with_a_stages_task_is_said_where_it_stands(plan):
    with pytest.raises(SpecError, match=r"stages.joint.tasks.small.imgae: unknown key"):
        plan(STAGED.replace("small: {image:", "small: {imgae:"))
