"""One measurement of what is at hand, as a suite in memory: roles, parameters, data."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import SpecError, UserError
from bench.spec.measuring import (
    Asked,
    Data,
    Weights,
    measurement_named,
    measuring_plan,
    parameters,
    roles_of,
    value_of,
)
from bench.spec.plan import load_plan
from bench.spec.work import Measure, Start

PART = """
from bench.parts import Measurement, measurement


@measurement("agree")
class Agree(Measurement):
    roles = ("first", "second", "judge*")
    metrics = {"agree": ("%", "highest"), "agree/{modules}": ("", "lowest")}
    curves = {"agree/at": "lambda"}
    points: int = 11
    modules: dict[str, str] = {}
"""
GLYPHS = Data({"dataset": "glyphs"}, image={"resize": 32, "size": 32})


@pytest.fixture
def part(tmp_path: Path):
    (tmp_path / "agree.py").write_text(PART)
    return measurement_named(str(tmp_path / "agree.py"))


def asked(part, settings=(), file=None, data=GLYPHS, **networks):
    found, plugins = part
    networks = networks or dict.fromkeys(("first", "second"), on_disk())
    given = parameters(found.name, file, settings)
    return Asked(found, networks, data, 3, given, plugins)


def on_disk(name: str = "a.safetensors", **more):
    return Weights(file=Path("/data") / name, **{"classes": 10, "backbone": "test_resnet", **more})


# -- which measurement ---------------------------------------------------------------------------


def test_a_measurement_is_named_or_stands_in_a_file(part, tmp_path):
    assert measurement_named("distance")[0].name == "distance"
    found, plugins = part
    assert (found.name, plugins) == ("agree", (str(tmp_path / "agree.py"),))
    again, _ = measurement_named("agree", plugins)
    assert (again.name, again.file) == ("agree", found.file)


def test_an_unknown_measurement_has_a_near_one():
    with pytest.raises(SpecError, match=r"no measurement 'distanse'\n  did you mean 'distance'"):
        measurement_named("distanse")


def test_a_file_has_one_measurement_or_it_is_named(tmp_path):
    file = tmp_path / "two.py"
    file.write_text(PART + PART.replace('"agree")', '"other")').partition("\n\n")[2])
    with pytest.raises(SpecError, match=r"has 2 measurements: agree, other\n.*--plugin"):
        measurement_named(str(file))
    file.write_text(PART.replace("measurement", "penalty").replace("Measurement", "Penalty"))
    with pytest.raises(SpecError, match="has 0 measurements"):
        measurement_named(str(file))


# -- roles ---------------------------------------------------------------------------------------


def test_networks_fill_the_roles_in_their_order_and_open_ones_take_the_rest(part):
    agree, _ = part
    assert roles_of(agree, ["a", "b"], {}) == {"first": "a", "second": "b"}
    assert roles_of(agree, ["a", "b", "c"], {"first": "z"}) == {
        "first": "z", "second": "a", "judge1": "b", "judge2": "c",
    }  # fmt: skip
    named = roles_of(agree, ["a", "b", "c"], {"judge2": "y"})
    assert list(named.items()) == [
        ("first", "a"), ("second", "b"), ("judge1", "c"), ("judge2", "y"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ([], "distance measures first, second, and 0 are given\n  name one for first and second"),
        (["a"], "and 1 is given\n  name one for second"),
        (["a", "b", "c"], "and 3 are given\n  leave c out"),
    ],
)
def test_a_wrong_number_of_networks_is_told(given, problem):
    distance, _ = measurement_named("distance")
    with pytest.raises(UserError, match=problem):
        roles_of(distance, given, {})


def test_an_unknown_role_has_a_near_one():
    distance, _ = measurement_named("distance")
    with pytest.raises(UserError, match=r"none is 'frist'\n  did you mean 'first'"):
        roles_of(distance, ["a"], {"frist": "b"})


# -- parameters ----------------------------------------------------------------------------------


def test_parameters_are_those_of_the_file_and_over_them_those_that_are_set(part, tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text("points: 5\nmodules: {early: layer1, late: layer4}\n")
    plan = measuring_plan(asked(part, ["points=7", "modules.late=layer3"], file))
    (planned,) = plan.cells
    assert planned.cell.work.measurement.settings == {
        "points": 7, "modules": {"early": "layer1", "late": "layer3"},
    }  # fmt: skip
    names = [metric.metric for metric in plan.suite.metrics]
    assert names == ["agree", "agree/early", "agree/late"]
    assert plan.metrics["agree"].unit == "%"


def test_values_are_read_as_those_of_suites():
    texts = ("51", "1e-3", "true", "conv1", "[0.1, 1]", "{mlp: {width: 8}}", "")
    found = [51, 1e-3, True, "conv1", [0.1, 1], {"mlp": {"width": 8}}, ""]
    assert [value_of(text, "--set") for text in texts] == found


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("pionts=5", r"^--set: .*pionts: unknown key\n  did you mean 'points'"),
        ("points=many", r"^--set: .*points: .*valid integer.*given: 'many'"),
        ("points", r"--set: 'points' sets nothing\n  write PARAMETER=VALUE"),
        (".points=3", "sets nothing"),
        ("points=[1", "not valid YAML"),
    ],
)
def test_what_is_wrong_with_a_parameter_is_said_of_the_option(part, setting, problem):
    with pytest.raises(SpecError, match=problem):
        measuring_plan(asked(part, [setting]))


def test_what_is_wrong_in_a_file_of_parameters_is_said_with_its_line(part, tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text("points: 5\nmodule: {a: b}\n")
    with pytest.raises(SpecError, match=r"p.yaml:2: .*unknown key\n  did you mean 'modules'"):
        measuring_plan(asked(part, file=file))
    file.write_text("- 5\n")
    with pytest.raises(SpecError, match="must be a mapping"):
        measuring_plan(asked(part, file=file))


# -- the cell ------------------------------------------------------------------------------------


def test_the_cell_is_that_of_a_suite_with_the_same_files(part, tmp_path):
    """There is one road: the same suite in a file gives the same cell."""
    first, second = on_disk("a.safetensors"), on_disk("b.safetensors", backbone="test_vit")
    plan = measuring_plan(asked(part, ["points=5"], first=first, second=second))
    (tmp_path / "paper.yaml").write_text("id: same\ntitle: Same\n")
    (tmp_path / "table.yaml").write_text("""
plugins: [agree.py]
weights:
  first: {file: /data/a.safetensors, classes: 10}
  second: {file: /data/b.safetensors, classes: 10}
axes: {method: any, dataset: glyphs, seed: [3]}
methods: {any: {}}
recipe: {image: {resize: 32, size: 32}}
measure:
  part: {agree: {points: 5}}
  roles:
    first: {weights: "file:first", backbone: test_resnet}
    second: {weights: "file:second", backbone: test_vit}
table: {rows: [dataset], columns: method, metric: agree}
profiles: {offline: {}}
""")
    written = load_plan(tmp_path / "table.yaml")
    assert [p.cell.id for p in plan.cells] == [p.cell.id for p in written.cells]
    assert plan.resources == written.resources
    assert isinstance(plan.cells[0].cell.work, Measure)


def test_a_network_with_parameters_is_one_of_a_part(part):
    mlp = on_disk(backbone={"mlp": {"widths": [8]}})
    (planned,) = measuring_plan(asked(part, first=mlp, second=on_disk())).cells
    assert planned.cell.backbone == "mlp(widths=(8,))+test_resnet"


@pytest.mark.parametrize(
    ("weights", "data", "problem"),
    [
        (on_disk(backbone="test_resnt"), GLYPHS, r"(?s)^--backbone: .*did you mean 'test_resnet'"),
        (on_disk(backbone={"mlp": {"widht": [8]}}), GLYPHS, "did you mean 'widths'"),
        (Weights(name="shipped:fractal", backbone="test_resnet"), GLYPHS, "'shipped:fractals'"),
        (on_disk(), Data({"dataset": "glyphs", "sampling_rate": 2}), r"^--on: .*given: 2"),
        (on_disk(), Data({"dataset": "glyphs", "objective": "regresion"}), "'regression'"),
    ],
)
def test_what_is_wrong_with_an_option_is_said_of_it(part, weights, data, problem):
    with pytest.raises(SpecError, match=problem):
        measuring_plan(asked(part, data=data, first=weights, second=on_disk()))


def test_a_file_of_predictions_is_of_no_network(tmp_path):
    cascade = measurement_named("cascade")
    file = Weights(file=tmp_path / "p.safetensors")
    (planned,) = measuring_plan(asked(cascade, data=None, joint=file)).cells
    assert planned.cell.work.starts == {"joint": Start("", "file:joint")}
    assert planned.cell.parents == {}


def test_what_a_files_weights_were_trained_on_is_the_data_that_are_named():
    attention = measurement_named("channel-attention")
    (planned,) = measuring_plan(asked(attention, start=on_disk())).cells
    assert planned.cell.work.task.dataset == "glyphs"
    assert planned.cell.work.task.image.size == 32


# -- how the networks were trained ---------------------------------------------------------------


def test_statistics_of_a_cell_that_had_them_frozen_are_not_averaged_anew():
    path = measurement_named("linear-path")
    networks = {"first": on_disk(), "second": on_disk(frozen=True)}
    with pytest.raises(SpecError, match="the network in the role second was trained with frozen"):
        measuring_plan(asked(path, ["statistics=averaged-anew"], **networks))
    assert measuring_plan(asked(path, **networks)).cells


@pytest.mark.parametrize(("transform", "seed"), [("block-shuffle", 4), ("edges", 4)])
def test_a_permutation_is_that_of_each_networks_own_seed(part, transform, seed):
    data = Data({"dataset": "glyphs", "transforms": {transform: {}}}, image=GLYPHS.image)
    same = {"first": on_disk(seed=3), "second": on_disk()}
    assert measuring_plan(asked(part, data=data, **same)).cells
    other = {"first": on_disk(seed=3), "second": on_disk(seed=seed)}
    if transform == "edges":
        # Nothing is drawn.
        assert measuring_plan(asked(part, data=data, **other)).cells
        return
    with pytest.raises(SpecError, match=r"second was trained with seed 4, and block-shuffle"):
        measuring_plan(asked(part, data=data, **other))
