"""A method's parts come by name: built-in, from a file, from a package."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.errors import SpecError
from bench.parts import Penalty, Step, objective, penalty
from bench.parts import compose as compose_module
from bench.parts import penalties as package
from bench.parts.compose import compose, load_part, part_class
from bench.parts.part import REGISTRY
from bench.parts.penalties.bss import BSS
from bench.parts.penalties.delta import Delta
from bench.parts.penalties.l2 import L2
from bench.parts.penalties.l2_sp import L2SP
from bench.records.code import Unit, code_digests, files_of
from bench.spec.plan import load_plan
from bench.spec.recipe import Recipe, Use
from bench.spec.work import Train

PLUGIN = """
from bench.parts import Penalty, Step, penalty

@penalty("small-logits")
class SmallLogits(Penalty):
    weight: float = {weight}

    def __call__(self, step: Step):
        return self.weight * step.logits.square().mean()
"""


def plugin(folder: Path, weight: float = 0.5, name: str = "mine.py") -> str:
    path = folder / name
    path.write_text(PLUGIN.format(weight=weight))
    return str(path)


def training(*penalties: Use) -> Train:
    return Train(
        network="test_resnet",
        weights="random",
        tasks={},
        recipe=Recipe(),
        trainable=Use(name="all"),
        update=Use(name="gradient"),
        penalties=penalties,
    )


def loaded(
    penalties: dict[str, dict[str, object]], plugins: Sequence[str] = ()
) -> dict[str, Penalty]:
    uses = (Use(name=name, settings=settings) for name, settings in penalties.items())
    return dict(compose(training(*uses), plugins).penalties)


def test_the_papers_six_methods_are_compositions_of_four_parts():
    parameters = {"l2": {"weight": 1.0}, "l2-sp": {}, "delta": {"head": 0.5}, "bss": {"k": 2}}
    for base in ("l2", "l2-sp", "delta"):
        method = {base: parameters[base], "bss": parameters["bss"]}
        expected = {"l2": L2(weight=1.0), "l2-sp": L2SP(), "delta": Delta(head=0.5)}[base]
        assert loaded(method) == {base: expected, "bss": BSS(k=2)}


SUITE = """
title: T
axes:
  backbone: test_resnet
  weights: random
  dataset: digits
  sampling_rate: 1.0
  method: [mine]
  seed: 1
methods:
  mine: {{penalties: {penalties}}}
profiles: {{offline: {{}}}}
"""


def test_the_order_is_the_same_however_a_suite_lists_them(tmp_path):
    (tmp_path / "paper.yaml").write_text("id: paper\ntitle: P\n")
    orders, ids = [], set()
    for penalties in ("{l2: {}, bss: {}}", "{bss: {}, l2: {}}"):
        path = tmp_path / "table.yaml"
        path.write_text(SUITE.format(penalties=penalties))
        (planned,) = load_plan(path, "offline").shown
        assert isinstance(planned.cell.work, Train)
        orders.append(list(compose(planned.cell.work).penalties))
        ids.add(planned.cell.id)
    assert orders == [["bss", "l2"]] * 2
    assert len(ids) == 1


def test_a_built_in_is_imported_only_when_it_is_used(monkeypatch):
    # By none of the modules that are there anyhow,
    composing = files_of([Unit("composing", (Path(compose_module.__file__),))])
    assert not [file for file in composing if file.parent == Path(package.__file__).parent]
    # and by asking for another.
    inside = f"{package.__name__}."
    for name in [name for name in sys.modules if name.startswith(inside)]:
        monkeypatch.delitem(sys.modules, name)
        monkeypatch.delattr(package, name.removeprefix(inside))
    monkeypatch.setitem(REGISTRY, "penalty", {})
    part_class("penalty", "l2")
    assert [name for name in sys.modules if name.startswith(inside)] == [f"{inside}l2"]
    assert list(REGISTRY["penalty"]) == ["l2"]


def test_a_plugin_file_brings_its_own(tmp_path):
    (part,) = loaded({"small-logits": {"weight": 2.0}}, [plugin(tmp_path)]).values()
    assert type(part).__name__ == "SmallLogits"
    assert part.weight == 2.0


def test_two_plugins_may_use_one_name_in_one_process(tmp_path):
    first = plugin(tmp_path, 0.5)
    second = plugin(tmp_path, 0.25, "other.py")
    weights = [part_class("penalty", "small-logits", [p])().weight for p in (first, second, first)]
    assert weights == [0.5, 0.25, 0.5]


def test_a_plugin_that_is_edited_and_put_back_is_imported_as_it_was_digested(tmp_path):
    file = plugin(tmp_path, 0.5)
    unit = Unit("penalty:small-logits", (Path(file),))
    digest = code_digests([unit])
    plugin(tmp_path, 0.125)
    assert part_class("penalty", "small-logits", [file])().weight == 0.5
    plugin(tmp_path, 0.5)
    assert code_digests([unit]) == digest


HELPED = """
from bench.parts import Penalty, Step, penalty
from weights_of_mine import WEIGHT

@penalty("helped")
class Helped(Penalty):
    weight: float = 1.0

    def __call__(self, step: Step):
        from later_of_mine import factor

        return WEIGHT * factor
"""


def test_a_plugin_imports_what_lies_beside_it_as_it_was_digested(tmp_path):
    file = tmp_path / "helped.py"
    file.write_text(HELPED)
    for name in ("weights_of_mine", "later_of_mine"):
        (tmp_path / f"{name}.py").write_text("WEIGHT = factor = 3.0\n")
    code_digests([Unit("penalty:helped", (file,))])
    for name in ("weights_of_mine", "later_of_mine"):
        (tmp_path / f"{name}.py").write_text("WEIGHT = factor = 5.0\n")
    found = part_class("penalty", "helped", [str(file)])()
    assert found(None) == 9.0
    other = tmp_path / "elsewhere"
    other.mkdir()
    for name in ("helped", "weights_of_mine", "later_of_mine"):
        (other / f"{name}.py").write_text((tmp_path / f"{name}.py").read_text())
    with pytest.raises(SpecError, match="in this process already"):
        part_class("penalty", "helped", [str(other / "helped.py")])


def test_an_installed_package_brings_its_own(monkeypatch):
    class FromPackage(Penalty):
        pass

    class Entry:
        module = "package.module"
        value = "package.module:FromPackage"

        def __init__(self, found: object) -> None:
            self.found = found

        def load(self) -> object:
            return self.found

    found: list[object] = [FromPackage]
    monkeypatch.setattr(
        importlib.metadata,
        "entry_points",
        lambda group, name=None: (
            [Entry(found[0])] if (group, name) == ("retable.penalties", "packaged") else []
        ),
    )
    assert part_class("penalty", "packaged") is FromPackage
    found[0] = object()
    with pytest.raises(SpecError, match=r"package\.module:FromPackage, which is no part"):
        part_class("penalty", "packaged")


def test_an_unknown_name_is_an_error_with_the_nearest(tmp_path):
    with pytest.raises(SpecError, match=r"'bsss'(?s:.*)did you mean 'bss'"):
        part_class("penalty", "bsss")
    with pytest.raises(SpecError, match="did you mean 'small-logits'"):
        part_class("penalty", "small-logit", [plugin(tmp_path)])


def test_one_file_may_hold_parts_of_several_kinds_by_one_name(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        PLUGIN.format(weight=1.0)
        + """
from bench.parts import Trainable, Transform, trainable, transform

@trainable("small-logits")
class Some(Trainable):
    depth: int = 2

@transform("flipped")
class Flipped(Transform):
    pass
"""
    )
    plugins = [str(path)]
    kinds = {"penalty": "small-logits", "trainable": "small-logits", "transform": "flipped"}
    names = {kind: part_class(kind, name, plugins).__name__ for kind, name in kinds.items()}
    assert names == {"penalty": "SmallLogits", "trainable": "Some", "transform": "Flipped"}
    assert (
        load_part("trainable", Use(name="small-logits", settings={"depth": 3}), plugins).depth == 3
    )
    with pytest.raises(SpecError, match="there is no update 'small-logits'"):
        part_class("update", "small-logits", plugins)


def test_a_part_registered_as_another_kind_is_an_error():
    with pytest.raises(TypeError, match="Other is registered as a objective"):

        @objective("mistaken")
        class Other(Penalty):
            pass


@pytest.mark.parametrize(
    ("parameters", "where"), [({"etta": 1.0}, "bss.etta"), ({"k": 0}, "bss.k")]
)
def test_a_wrong_parameter_is_an_error_that_names_it(parameters, where):
    with pytest.raises(SpecError, match=where):
        loaded({"bss": parameters})


def test_a_plugin_that_cannot_be_imported_is_an_error_that_names_the_file(tmp_path):
    path = plugin(tmp_path)
    Path(path).write_text("import no_such_module\n" + Path(path).read_text())
    with pytest.raises(SpecError, match=r"mine\.py: cannot be imported.*no_such_module"):
        part_class("penalty", "small-logits", [path])


def test_one_name_cannot_be_registered_twice():
    with pytest.raises(ValueError, match="already registered"):

        @penalty("bss")
        class Other(Penalty):
            pass


def test_a_part_without_a_call_says_so():
    class Empty(Penalty):
        pass

    step = Step.__new__(Step)
    with pytest.raises(TypeError, match="Empty does not define __call__"):
        Empty()(step)
