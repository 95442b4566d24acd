"""Each kind of broken suite has its one message: file, line, field, what to do."""

from __future__ import annotations

import pytest

from bench.errors import SpecError

from .conftest import SUITE

BASE = SUITE.lstrip()


def line_of(text: str, fragment: str) -> int:
    return next(i for i, line in enumerate(text.splitlines(), 1) if fragment in line)


def broken(old: str, new: str) -> str:
    assert old in BASE
    return BASE.replace(old, new)


CASES = {
    "a warm-up without validation": (
        broken("  plain: {}", "  plain: {warmup: {}}").replace(
            "  steps: 10", "  steps: 10\n  batch_size: 20"
        ),
        "recipe:",
        r"validation: a warm-up ends by the validation accuracy.*\n.*set recipe.validation",
    ),
    "forgetting without a stage": (
        broken("  steps: 10", "  steps: 10\n  forgetting: true"),
        "forgetting",
        r"recipe.forgetting: forgetting is measured on the task of the stage.*\n.*stage:NAME",
    ),
    "balanced batches that do not fit": (
        broken("  steps: 10", "  steps: 10\n  batches: balanced\n  batch_size: 30"),
        "batch_size",
        r"batch_size: balanced batches of 30 .* 20 classes of glyphs\n.*a multiple of 20",
    ),
    "an axis within a choice that a method does not make": (
        broken("  seed: 2", "  seed: 2\n  recipe.optimizer.sgd.lr: [0.1, 0.2]").replace(
            "  plain: {}", "  plain: {recipe: {optimizer: {adam: {lr: 0.5}}}}"
        ),
        "recipe.optimizer.sgd.lr",
        r"axes.recipe.optimizer.sgd.lr: sets sgd, and a method has optimizer adam\n"
        r".*leave the method's optimizer out, or the axis",
    ),
    "a recipe's setting beside a method's parts": (
        broken("  plain: {}", "  plain: {optimizer: {sgd: {lr: 0.5}}}"),
        "plain: {opt",
        r"methods.plain.optimizer: unknown key\n.*recipe",
    ),
    "forgetting without a test split": (
        broken(
            "  steps: 10",
            "  steps: 10\n  forgetting: true\n  validation: 0.1\n  evaluation: {test: false}",
        ),
        "recipe:",
        r"forgetting scores a test split",
    ),
    "forgetting of statistics that are replaced before it is counted": (
        broken("  steps: 10", "  steps: 10\n  forgetting: true\n  statistics: averaged-anew"),
        "recipe",
        r"has replaced the source's statistics: use statistics: as-loaded",
    ),
    "float16 with penalties' gradients": (
        broken("  steps: 10", "  steps: 10\n  penalty_gradients: true\n  precision: float16"),
        "recipe:",
        r"float16 skips the first steps .* which penalty_gradients would show as training",
    ),
    "float16 with anytime performance": (
        broken(
            "  steps: 10", "  steps: 10\n  anytime: {}\n  validation: 0.1\n  precision: float16"
        ),
        "recipe:",
        r"float16 skips the first steps",
    ),
    "half an image held out": (
        broken("  steps: 10", "  steps: 10\n  validation: 1.5"),
        "validation",
        r"recipe.validation: .*a whole number of images of each class",
    ),
    "anytime performance without validation": (
        broken("  steps: 10", "  steps: 10\n  anytime: {}"),
        "recipe:",
        r"anytime needs validation > 0",
    ),
    "averaged velocities without momentum": (
        broken("{lr: 0.1}", "{lr: 0.1, velocity: average}"),
        "velocity",
        r"velocity average needs momentum > 0",
    ),
    "an unknown key": (
        broken("title:", "titel:"),
        "titel:",
        r"titel: unknown key\n.*did you mean 'title'\?",
    ),
    "an unknown key of the recipe": (
        broken("steps: 10", "stepz: 10"),
        "stepz",
        r"recipe.stepz: unknown key\n.*did you mean 'steps'\?",
    ),
    "an unknown key of an optimizer": (
        broken("{lr: 0.1}", "{lr: 0.1, momentun: 0.9}"),
        "momentun",
        r"recipe.optimizer.sgd.momentun: unknown key\n.*did you mean 'momentum'\?",
    ),
    "a number that is a word": (
        broken("steps: 10", "steps: many"),
        "steps: many",
        r"recipe.steps: .*integer.*\(given: 'many'\)",
    ),
    "a repeated key": (
        broken("recipe:", "title: again\nrecipe:"),
        "title: again",
        r"repeated key 'title' \(first on line 1\)",
    ),
    "an unknown dataset": (
        broken("[glyphs, digits]", "[glyps, digits]"),
        "glyps",
        r"axes.dataset: the dataset 'glyps' is neither .*\n.*did you mean 'glyphs'\?",
    ),
    "an unknown method": (
        broken("[plain, l2]", "[plain, l3]"),
        "l3]",
        r"axes.method: the method 'l3' is not defined\n.*one of: plain, l2",
    ),
    "an unknown penalty": (
        broken("{penalties: {l2:", "{penalties: {l2sp:"),
        "l2sp",
        r"methods.l2.penalties.l2sp: is not a known penalty\n.*did you mean 'l2-sp'\?",
    ),
    "an unknown parameter of a penalty": (
        broken("{weight: 1e-3}", "{wieght: 1e-3}"),
        "wieght",
        r"methods.l2.penalties.l2.wieght: unknown key\n.*did you mean 'weight'\?",
    ),
    "a negative weight of a penalty": (
        broken("{weight: 1e-3}", "{weight: -1e-3}"),
        "weight: -1e-3",
        r"methods.l2.penalties.l2.weight: .*greater than or equal to 0",
    ),
    "a rate in percent": (
        broken("[0.15, 0.3]", "[15, 0.3]"),
        "[15",
        r"axes.sampling_rate: a sampling rate is a fraction .*\n.*15% is 0.15",
    ),
    "no seeds": (
        broken("seed: 2", "seed: 0"),
        "seed: 0",
        r"axes.seed: must be from 1 to 100,000 \(given: 0\)",
    ),
    "a value twice": (
        broken("[0.15, 0.3]", "[0.3, 0.3]"),
        "[0.3, 0.3]",
        r"axes.sampling_rate: 0.3 stands there twice",
    ),
    "a missing axis": (
        broken("  weights: random\n", ""),
        "axes:",
        r"axes: the axis weights is required",
    ),
    "an axis that changes nothing": (
        broken("  seed: 2", "  seed: 2\n  metod: [a, b]"),
        "metod",
        r"axes.metod: is an axis that changes nothing\n.*did you mean 'method'\?",
    ),
    "unknown weights": (
        broken("weights: random", "weights: randm"),
        "randm",
        r"axes.weights: there are no weights 'randm'\n.*did you mean 'random'\?",
    ),
    "a when on something that is no axis": (
        BASE + "when:\n  - {datset: digits, recipe: {steps: 3}}\n",
        "datset",
        r"when.0.datset: is neither an axis .*\n.*did you mean 'dataset'\?",
    ),
    "a when on a value that no axis has": (
        BASE + "when:\n  - {dataset: digit, recipe: {steps: 3}}\n",
        "digit, recipe",
        r"when.0.dataset: 'digit' is not a value .*\n.*did you mean 'digits'\?",
    ),
    "a broken recipe in a when": (
        BASE + "when:\n  - {dataset: digits, recipe: {steps: -3}}\n",
        "steps: -3",
        r"when.0.recipe.steps: .*greater than or equal to 0 \(given: -3\)",
    ),
    "a broken recipe in a profile": (
        broken("offline: {}", "offline: {recipe: {precision: float8}}"),
        "float8",
        r"profiles.offline.recipe.precision: .*'float32', 'tf32', 'bfloat16' or 'float16'.*float8",
    ),
    "two optimizers": (
        broken("{sgd: {lr: 0.1}}", "{sgd: {lr: 0.1}, adam: {lr: 0.1}}"),
        "adam",
        r"recipe.optimizer: exactly one of sgd, .* must be given",
    ),
    "selection without a validation split": (
        broken("steps: 10", "steps: 10\n  selection: best-on-validation"),
        "recipe:",
        r"selection best-on-validation needs validation > 0",
    ),
    "a crop larger than the image": (
        broken("steps: 10", "steps: 10\n  image: {resize: 32, size: 64}"),
        "image:",
        r"recipe.image: size 64 is larger than resize 32",
    ),
    "a row of the table that is no axis": (
        BASE + "table: {rows: [datasets], columns: sampling_rate}\n",
        "table:",
        r"table: 'datasets' is not an axis\n.*did you mean 'dataset'\?",
    ),
    "a stage that starts from itself": (
        broken("weights: random", "weights: 'stage:a'")
        + "stages:\n  a: {weights: 'stage:a', method: plain}\n",
        "a: {weights",
        r"stages.a.weights: starts from itself: a -> a",
    ),
    "a metric that is none": (
        BASE + "table: {metric: test/top11}\n",
        "table:",
        r"table.metric: 'test/top11' is not a metric\n.*did you mean 'test/top1'\?",
    ),
    "a metric that is never measured": (
        BASE + "table: {metric: validation/top1}\n",
        "table:",
        r"table.metric: validation/top1 is never measured",
    ),
    "a contrast with a value that is none": (
        BASE + "table: {contrast: {axis: method, pairs: [[l2, plane]]}}\n",
        "table:",
        r"table.contrast: 'plane' is not a value of method\n.*did you mean 'plain'\?",
    ),
    "a table of one axis twice": (
        BASE + "table: {rows: [method], columns: method}\n",
        "table:",
        r"table: rows and columns are different axes",
    ),
    "a label for a value that is none": (
        BASE + "labels: {method: {l22: L2}}\n",
        "labels:",
        r"labels.method: 'l22' is not a value .*\n.*",
    ),
    "a label for an axis that is none": (
        BASE + "labels: {methd: {l2: L2}}\n",
        "labels:",
        r"labels.methd: is not an axis\n.*did you mean 'method'\?",
    ),
    "an axis for a penalty that no method has": (
        broken("  seed: 2", "  seed: 2\n  penalties.bsss.k: [1, 2]"),
        "penalties.bsss",
        r"no method has that penalty",
    ),
    "a backbone that timm does not have": (
        broken("test_resnet", "test_resnett"),
        "test_resnett",
        r"axes.backbone: 'test_resnett' is neither a network of .* timm 1\.\d+\.\d+\n"
        r".*did you mean 'test_resnet'\? \(of a newer timm: timm:test_resnett\)",
    ),
    "a tag that timm does not have": (
        broken("test_resnet", "resnet18.tv_in2k"),
        "resnet18",
        r"axes.backbone: 'resnet18.tv_in2k' is neither .*\n.*did you mean 'resnet18.tv_in1k'\?",
    ),
    "a backbone of a stage that timm does not have": (
        BASE + "stages:\n  a: {backbone: rsnet18, method: plain}\n",
        "rsnet18",
        r"stages.a.backbone: 'rsnet18' is neither .*\n.*did you mean 'resnet18'\?",
    ),
    "a number in quotes": (
        broken("steps: 10", "steps: '10'"),
        "steps: '10'",
        r"recipe.steps: .*valid integer \(given: '10'\)",
    ),
    "a truth value for a number": (
        broken("steps: 10", "steps: true"),
        "steps: true",
        r"recipe.steps: .*valid integer \(given: True\)",
    ),
    "a number for a truth value": (
        broken("steps: 10", "steps: 10\n  head_bias: 1"),
        "head_bias: 1",
        r"recipe.head_bias: .*valid boolean \(given: 1\)",
    ),
    "a truth value for a part's number": (
        broken("{weight: 1e-3}", "{weight: true}"),
        "weight: true",
        r"methods.l2.penalties.l2.weight: .*valid number \(given: True\)",
    ),
    "a truth value within a list": (
        broken("steps: 10", "steps: 10\n  augmentation: {scale: [true, 1]}"),
        "scale: [true",
        r"recipe.augmentation.scale.0: .*valid number \(given: True\)",
    ),
    "a dataset outside of the cache": (
        BASE + "datasets: {../../x: {folder: .}}\n",
        "../../x",
        r"datasets.../../x: names files, so it is up to 100 letters.* \(given: '../../x'\)",
    ),
    "weights that are no name": (
        BASE + "weights: {/etc/x: {file: x, classes: 1}}\n",
        "/etc/x",
        r"weights./etc/x: names files",
    ),
    "a stage that is an option": (
        BASE + "stages: {--x: {method: plain}}\n",
        "--x",
        r"stages.--x: names files",
    ),
    "far too many seeds": (
        broken("seed: 2", "seed: 100000000000"),
        "seed: 1000",
        r"axes.seed: must be from 1 to 100,000",
    ),
    "a folder under a name of the catalogue": (
        BASE + "datasets: {glyphs: {folder: .}}\n",
        "datasets:",
        r"datasets.glyphs: is the name of a dataset in the catalogue",
    ),
    "one folder under two names": (
        BASE + "datasets:\n  mine: {folder: .}\n  again: {folder: ./sub/..}\n",
        "again:",
        r"datasets.again: are the data of mine: .*\n.*use mine",
    ),
    "shipped weights of another backbone": (
        broken("weights: random", 'weights: "shipped:fractals"').replace(
            "test_resnet", "resnet18.tv_in1k"
        ),
        "backbone:",
        r"axes.backbone: shipped:fractals are of test_resnet, not of resnet18.tv_in1k",
    ),
    "a warm-up longer than the training": (
        broken("steps: 10", "steps: 10\n  schedule: {cosine: {warmup: 10}}"),
        "schedule",
        r"recipe.schedule: warmup 10 leaves nothing of 10 steps",
    ),
    "a warm-up longer than the training, before a line": (
        broken("steps: 10", "steps: 10\n  schedule: {linear: {warmup: 12}}"),
        "schedule",
        r"recipe.schedule: warmup 12 leaves nothing of 10 steps",
    ),
    "a list where a mapping is meant": (
        broken("recipe:\n  steps: 10\n  optimizer: {sgd: {lr: 0.1}}", "recipe: [1]"),
        "recipe:",
        r"recipe: must be a mapping",
    ),
    "a rate that depends on the method": (
        BASE + "when:\n  - {method: l2, axes: {sampling_rate: [0.5]}}\n",
        "when:",
        r"when.0.axes.sampling_rate: cannot depend on method",
    ),
}


@pytest.mark.parametrize("kind", CASES)
def test_a_broken_suite_gets_one_message(plan, kind):
    text, fragment, pattern = CASES[kind]
    with pytest.raises(SpecError, match=pattern) as caught:
        plan(text)
    expected = line_of(text, fragment)
    # An alias of nearby lines is allowed where a mapping spans two lines.
    assert caught.value.line in (expected, expected + 1), str(caught.value)
    assert str(caught.value).startswith(caught.value.file)


def test_an_unknown_profile_names_the_nearest(plan):
    with pytest.raises(SpecError, match=r"no profile 'ofline'\n.*did you mean 'offline'\?"):
        plan(profile="ofline")


def test_a_profile_that_extends_itself(plan):
    text = BASE.replace("offline: {}", "offline: {extends: smoke}\n  smoke: {extends: offline}")
    with pytest.raises(SpecError, match="extends itself"):
        plan(text)


@pytest.mark.parametrize("name", ["../x", "a/b", ".", "..", "x" * 101, "a b", "-p", "x."])
def test_a_name_that_is_no_file_is_refused(suite, plan, name):
    with pytest.raises(SpecError, match=r"profiles.*names files"):
        plan(BASE.replace("offline: {}", f'offline: {{}}\n  "{name}": {{}}'))
    file = suite()
    (file.parent / "paper.yaml").write_text(f'id: "{name}"\ntitle: A test\n')
    with pytest.raises(SpecError, match=r"paper.yaml:1: id: names files"):
        plan()


def test_a_backbone_of_a_newer_timm_is_taken_as_it_is(plan):
    listed, escaped = (plan(broken("test_resnet", f"{p}test_resnet")) for p in ("", "timm:"))
    assert [p.cell.id for p in listed.cells] == [p.cell.id for p in escaped.cells]
    newer = plan(broken("test_resnet", "timm:resnet900.mine"))
    assert {p.cell.backbone for p in newer.cells} == {"resnet900.mine"}


def test_a_paper_that_is_missing(suite):
    from bench.spec.plan import load_plan

    file = suite()
    (file.parent / "paper.yaml").unlink()
    with pytest.raises(SpecError, match=r"paper.yaml: cannot be read"):
        load_plan(file)


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just words\n"])
def test_a_file_that_is_no_suite(plan, text):
    with pytest.raises(SpecError, match=r"is empty|must be a mapping"):
        plan(text)


def test_several_problems_are_counted(plan):
    with pytest.raises(SpecError, match=r"and 1 more problem"):
        plan(BASE.replace("title:", "titel:").replace("recipe:", "recipee:"))


def test_a_suite_without_profiles_is_said_to_have_none(suite):
    from bench.spec.layers import profile_names

    with pytest.raises(SpecError, match=r"has no profile\n.*profiles: \{offline: \{\}\}"):
        profile_names(suite(BASE.replace("profiles:\n  offline: {}\n", "")))


def test_a_value_that_fits_no_branch_is_one_problem(plan):
    with pytest.raises(SpecError) as caught:
        plan(BASE.replace("method: [plain, l2]", "method: {a: 1}"))
    assert "axes.method: " in str(caught.value)
    assert ".str" not in str(caught.value)
    assert "more problem" not in str(caught.value)
