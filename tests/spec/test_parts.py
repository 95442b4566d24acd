from __future__ import annotations

import pytest
from pydantic import ValidationError

from bench.errors import SpecError
from bench.spec.budget import gradients_per_step
from bench.spec.parts import DECLARED, KINDS, built_in_parts, find_part, known_parts, read_parts

GOOD = '''
import a_module_that_does_not_exist

@penalty("mine")
class Mine(Penalty):
    """A penalty."""
    needs = ("source_maps",)
    weight: NonNegativeFloat = 0.5
    mode: Literal["a", "b"] = "a"
    k: PositiveInt
'''


def write(tmp_path, text):
    file = tmp_path / "mine.py"
    file.write_text(text)
    return file


def test_a_signature_is_read_without_running_the_file(tmp_path):
    (part,) = read_parts(write(tmp_path, GOOD))
    assert (part.name, part.needs) == ("mine", ("source_maps",))
    assert part.parameters(k=3).model_dump() == {"weight": 0.5, "mode": "a", "k": 3}
    for wrong in ({"k": 0}, {"k": 1, "weight": -1}, {"k": 1, "mode": "c"}, {"k": 1, "x": 1}, {}):
        with pytest.raises(ValueError, match="validation error"):
            part.parameters(**wrong)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('@penalty("mine")\n', "", "registers no part"),
        ("PositiveInt", "Tensor", "Tensor is not a type a parameter may have"),
        ("= 0.5", "= half()", r"half\(\) is not a literal"),
        ('("source_maps",)', '"source_maps"', "needs must be a tuple of"),
        ('("source_maps",)', "(1, 2)", "needs must be a tuple of"),
        ("class Mine", "clas Mine", "is not Python"),
    ],
)
def test_a_wrong_signature_is_named(tmp_path, old, new, message):
    with pytest.raises(SpecError, match=message):
        read_parts(write(tmp_path, GOOD.replace(old, new)))


KIND = """
import a_module_that_does_not_exist
raise RuntimeError("this file is read and not run")

@{kind}("mine")
class Mine({kind}):
    '''A part.'''
    {body}
"""
BODIES = {
    "penalty": 'needs = ("source_maps", "channel-attention")',
    "update": '''curves = ("norm",)
    gradients_per_step = "2"''',
    "objective": """metrics = {"iou": ("%", "highest"), "d": ("px", "lowest")}
    score = "iou"
    term = "dice"
    targets = "numbers"
    views = 2""",
    "transform": """random = True
    draws = False""",
    "measurement": """roles: ClassVar[tuple[str, ...]] = ("start", "end")
    data: typing.ClassVar = "none"
    reads = "predictions"
    metrics = {"sharpness": ("", "lowest")}
    curves = {"sharpness": "radius"}""",
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_of_any_kind_is_read_without_running_its_file(tmp_path, kind):
    file = write(tmp_path, KIND.format(kind=kind, body=BODIES.get(kind, "k: PositiveInt = 3")))
    (part,) = read_parts(file)
    assert (part.kind, part.name, part.file) == (kind, "mine", file)
    found = find_part(kind, "mine", (str(file),))
    assert found is not None
    assert (found.declared, found.file) == (part.declared, file)
    namespace: dict = {"typing": __import__("typing"), "ClassVar": __import__("typing").ClassVar}
    if kind in BODIES:
        # Python's own reading of the same lines.
        exec("class Mine:\n    " + BODIES[kind], namespace)
        declared = {name: getattr(namespace["Mine"], name) for name in part.declared}
        assert dict(part.declared) == declared
        assert not part.parameters.model_fields
    assert set(part.declared) == set(DECLARED[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_a_suite_with_a_plug_in_that_cannot_be_imported_validates(suite, kind):
    from bench.spec.plan import load_plan

    from .conftest import SUITE

    file = suite(SUITE.replace("profiles:", "plugins: [mine.py]\nprofiles:"))
    body = BODIES.get(kind, "k: PositiveInt = 3")
    (file.parent / "mine.py").write_text(KIND.format(kind=kind, body=body))
    assert load_plan(file).cells


WRONG = [
    ("penalty", 'needs = "source_maps"', "needs", "must be a tuple of names"),
    ("penalty", "needs = (1,)", "needs", "must be a tuple of names"),
    ("penalty", "needs = NEEDS", None, "NEEDS is not a literal"),
    ("update", 'curves = {"a": "b"}', "curves", "must be a tuple of names"),
    ("transform", 'random = "yes"', "random", "must be like False"),
    ("measurement", 'metrics = {"a": "%"}', "metrics", "unit and the better side"),
    ("measurement", 'metrics = {"a": ("%", "high")}', "metrics", "unit and the better side"),
    ("measurement", 'metrics = {"a": ("%",)}', "metrics", "unit and the better side"),
    ("measurement", 'metrics = {1: ("%", "highest")}', "metrics", "unit and the better side"),
    ("measurement", 'metrics = ("a",)', "metrics", "unit and the better side"),
    ("measurement", 'curves = ("a",)', "curves", "must map each name to a word"),
    ("measurement", 'curves = {"a": 3}', "curves", "must map each name to a word"),
    ("measurement", "curves = {[1]: 3}", None, "is not a literal"),
    ("measurement", 'roles = "start"', "roles", "must be a tuple of names"),
    ("measurement", 'data = "sources"', "data", "must be one of task, source, none"),
    ("measurement", "data = None", "data", "must be one of task, source, none"),
    ("measurement", 'reads = "logits"', "reads", "must be one of checkpoint, predictions"),
    ("objective", 'targets = "pixels"', "targets", "must be one of classes, numbers"),
    ("objective", "score = 3", "score", "must be like ''"),
    ("patch", "k: Tensor = 3", "k", "Tensor is not a type a parameter may have"),
    ("patch", 'k: "int | str" = 3', "k", "is not a type a parameter may have"),
    ("patch", 'k: "int ["', "k", "is not a type a parameter may have"),
    ("patch", "k: None", "k", "is not a type a parameter may have"),
    ("patch", "k: tuple[int, int] = (1, 2)", "k", "is not a type a parameter may have"),
    ("patch", "k: list[int] = [1]", "k", "is not a type a parameter may have"),
    ("patch", "k: Literal[1, 2] = 1", "k", "is not a type a parameter may have"),
    ("patch", "k: PositiveInt = 0", "k", "the default 0 is no PositiveInt"),
    ("patch", 'k: float = "a"', "k", "the default 'a' is no float"),
    ("patch", "k: tuple[PositiveInt, ...] = (0,)", "k", r"the default \(0,\) is no tuple"),
    ("patch", "k: float = math.inf", None, "math.inf is not a literal"),
]


@pytest.mark.parametrize(("kind", "body", "field", "message"), WRONG)
def test_a_wrong_literal_is_named_with_its_line(tmp_path, kind, body, field, message):
    whole = BODIES[kind] + "\n    " + body if kind == "objective" else body
    file = write(tmp_path, KIND.format(kind=kind, body=whole))
    with pytest.raises(SpecError, match=message) as caught:
        read_parts(file)
    line = next(i for i, t in enumerate(file.read_text().splitlines(), 1) if body in t)
    assert (caught.value.file, caught.value.line, caught.value.field) == (str(file), line, field)


@pytest.mark.parametrize(
    ("old", "new"), [('score = "iou"', 'score = "dice"'), ('term = "dice"', ""), ("metrics", "m")]
)
def test_an_objective_has_metrics_a_score_of_them_and_a_term(tmp_path, old, new):
    body = BODIES["objective"].replace(old, new)
    file = write(tmp_path, KIND.format(kind="objective", body=body))
    with pytest.raises(SpecError, match=r"mine.py:6: mine: an objective states its metrics"):
        read_parts(file)


TYPES = """
    widths: tuple[PositiveInt, ...] = (8, 4)
    names: "tuple[Literal['a', 'b'], ...]" = ()
    rate: float | None = None
    depth: pydantic.PositiveInt | None = 3
    mode: typing.Literal["x", "y"] | None = "x"
    flag: bool = True
    _private: dict[str, object] = {}
    about: ClassVar[tuple[str, ...]] = ("not a parameter",)
    also: "ClassVar[str]" = "not a parameter"
    other = 3
"""


@pytest.mark.parametrize(
    ("kind", "body", "message"),
    [
        ("objective", 'metrics = {"iou": ("%", "highest"), "iou_error": ("", "lowest")}; '
         'score = "iou"; term = "dice"', "the metric 'iou_error' has the name of what is derived"),
        ("measurement", 'metrics = {"far_error": ("", "lowest")}', "the metric 'far_error' has"),
        ("objective", 'metrics = {"iou": ("%", "highest")}; score = "iou"; term = "loss"',
         "the term 'loss' has the name of another curve"),
        ("objective", 'metrics = {"iou": ("%", "highest")}; score = "iou"; term = "learning-rate"',
         "the term 'learning-rate' has the name of another curve"),
    ],
)  # fmt: skip
def test_a_part_takes_no_name_that_something_else_has(tmp_path, kind, body, message):
    with pytest.raises(SpecError, match=message) as caught:
        read_parts(write(tmp_path, KIND.format(kind=kind, body=body)))
    assert caught.value.line == 6


def test_types_of_parameters(tmp_path):
    (part,) = read_parts(write(tmp_path, KIND.format(kind="network", body=TYPES)))
    defaults = {
        "widths": (8, 4), "names": (), "rate": None, "depth": 3, "mode": "x", "flag": True,
    }  # fmt: skip
    assert part.parameters().model_dump() == defaults
    given = {"widths": [1, 2, 3], "names": ["a", "b"], "rate": 2, "depth": None, "mode": None}
    assert part.parameters(**given).model_dump(exclude={"flag"}) == {
        **given, "widths": (1, 2, 3), "names": ("a", "b"),
    }  # fmt: skip
    for wrong in (
        {"widths": 3}, {"widths": [0]}, {"names": ["c"]}, {"rate": "x"}, {"depth": 0},
        {"mode": "z"}, {"flag": "perhaps"}, {"rate": float("nan")}, {"_private": {}},
        {"about": "x"}, {"other": 4},
    ):  # fmt: skip
        with pytest.raises(ValueError, match="validation error"):
            part.parameters(**wrong)


def test_a_name_is_taken_once_a_kind(tmp_path):
    both = KIND.format(kind="patch", body="k: int = 1") + KIND.format(
        kind="head", body="k: int = 1"
    )
    file = str(write(tmp_path, both))
    assert {("patch", "mine"), ("head", "mine")} <= set(known_parts((file,)))
    twice = tmp_path / "twice.py"
    twice.write_text(both.replace("@head", "@patch"))
    with pytest.raises(SpecError, match=r"'mine' is already taken by .*\n.*give the patch another"):
        known_parts((str(twice),))
    other = tmp_path / "other.py"
    other.write_text(KIND.format(kind="head", body="k: int = 1"))
    with pytest.raises(SpecError, match=r"other.py: the name 'mine' is already taken by .*mine.py"):
        known_parts((file, str(other)))


@pytest.mark.parametrize("key", sorted(built_in_parts()))
def test_a_built_in_name_is_taken(tmp_path, key):
    kind, name = key
    body = BODIES.get(kind, "k: int = 1")
    file = write(tmp_path, KIND.format(kind=kind, body=body).replace('"mine"', repr(name)))
    with pytest.raises(SpecError, match=f"'{name}' is already taken"):
        known_parts((str(file),))


def test_a_plug_in_may_not_take_a_built_in_name(tmp_path):
    file = write(tmp_path, GOOD.replace('"mine"', '"bss"'))
    with pytest.raises(SpecError, match="'bss' is already taken"):
        known_parts((str(file),))


def test_the_papers_penalties_and_its_peers_are_built_in():
    penalties = {name for kind, name in built_in_parts() if kind == "penalty"}
    assert penalties == {"l2", "l2-sp", "delta", "bss", "co-tuning", "ewc", "lwf"}


def test_signatures_agree_with_the_classes():
    # Reading the text and importing the class are two ways to the same signature.
    from bench.parts.compose import load_part
    from bench.spec.recipe import Use

    for (kind, name), part in built_in_parts().items():
        instance = load_part(kind, Use(name=name))
        assert instance.model_dump() == part.parameters().model_dump(), (kind, name)
        for declared, default in DECLARED[kind].items():
            said = getattr(instance, declared, default)
            assert said == getattr(part, declared), (kind, name)


UPDATE = '''
@update("walk")
class Walk(Update):
    """An update."""
    gradients_per_step: ClassVar[str] = "n * (k + 1)"
    n: PositiveInt = 3
    k: int = 2
    rate: float = 0.5
'''


def test_an_update_states_how_many_gradients_a_step_takes(tmp_path):
    (part,) = read_parts(write(tmp_path, UPDATE))
    assert gradients_per_step(part, {"n": 3, "k": 2, "rate": 0.5}) == 9
    (silent,) = read_parts(write(tmp_path, UPDATE.replace("n * (k + 1)", "")))
    assert gradients_per_step(silent, {"n": 3, "k": 2, "rate": 0.5}) is None
    (plain,) = read_parts(write(tmp_path, UPDATE.replace("gradients_per_step", "_other")))
    assert gradients_per_step(plain, {"n": 3, "k": 2, "rate": 0.5}) == 1


@pytest.mark.parametrize(
    "expression",
    ["steps + 1", "rate + 1", "n - 1", "n / 2", "n +", "int(n)", "True", "1.5", "n; k"],
)
def test_a_count_is_a_sum_or_product_of_whole_parameters(tmp_path, expression):
    file = write(tmp_path, UPDATE.replace("n * (k + 1)", expression))
    with pytest.raises(SpecError, match="is no sum or product of whole numbers and parameters"):
        read_parts(file)


NAMED = """
from bench.parts import Objective, objective


@objective("by-name")
class ByName(Objective):
    metrics = {"top1": ("%", "highest"), "top1-{groups}": ("%", "highest")}
    score = "top1"
    term = "dice"
    groups: GROUPS = {}
"""


def test_a_metric_may_be_one_for_each_name_in_a_parameter(tmp_path):
    file = tmp_path / "part.py"
    file.write_text(NAMED.replace("GROUPS", "dict[str, tuple[int, ...]]"))
    (part,) = read_parts(file)
    given = part.parameters.model_validate({"groups": {"base": [0, 9], "tail": [9, 12]}})
    names = ("top1", "top1-base", "top1-tail")
    assert part.metrics_with(given.model_dump()) == dict.fromkeys(names, ("%", "highest"))
    assert part.metrics_with(part.parameters().model_dump()) == {"top1": ("%", "highest")}
    with pytest.raises(ValidationError, match="names files"):
        part.parameters.model_validate({"groups": {"a/b": [0, 9]}})


@pytest.mark.parametrize("kind", ["int", "tuple[str, ...]"])
def test_a_metric_by_names_that_no_parameter_has_is_refused(tmp_path, kind):
    file = tmp_path / "part.py"
    file.write_text(NAMED.replace("GROUPS = {}", f"{kind} = {'3' if kind == 'int' else '()'}"))
    with pytest.raises(SpecError, match=r"one for each name in groups, which is no parameter of"):
        read_parts(file)
