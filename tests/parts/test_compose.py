"""A method's parts come by name: built-in, from a file, from a package."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

from bench.errors import SpecError
from bench.methods.compose import load_penalties, penalty_class
from bench.methods.part import Penalty, Step, penalty
from bench.methods.penalties.bss import BSS
from bench.methods.penalties.delta import Delta
from bench.methods.penalties.l2 import L2
from bench.methods.penalties.l2_sp import L2SP
from bench.spec.cell import Method

PLUGIN = """
from bench.methods import Penalty, Step, penalty

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


def test_the_papers_six_methods_are_compositions_of_four_parts():
    parameters = {"l2": {"weight": 1.0}, "l2-sp": {}, "delta": {"head": 0.5}, "bss": {"k": 2}}
    for base in ("l2", "l2-sp", "delta"):
        method = Method(penalties={base: parameters[base], "bss": parameters["bss"]})
        expected = {"l2": L2(weight=1.0), "l2-sp": L2SP(), "delta": Delta(head=0.5)}[base]
        assert load_penalties(method, ()) == {base: expected, "bss": BSS(k=2)}


def test_the_order_is_the_same_however_a_suite_lists_them():
    first = load_penalties(Method(penalties={"l2": {}, "bss": {}}), ())
    second = load_penalties(Method(penalties={"bss": {}, "l2": {}}), ())
    assert list(first) == list(second) == ["bss", "l2"]


def test_a_built_in_is_imported_only_when_it_is_used():
    code = (
        "import sys; from bench.methods.compose import penalty_class; penalty_class('l2');"
        "print(sorted(m.split('.')[-1] for m in sys.modules if '.penalties.' in m))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['l2']"


def test_a_plugin_file_brings_its_own(tmp_path):
    method = Method(penalties={"small-logits": {"weight": 2.0}})
    (loaded,) = load_penalties(method, [plugin(tmp_path)]).values()
    assert type(loaded).__name__ == "SmallLogits"
    assert loaded.weight == 2.0


def test_two_plugins_may_use_one_name_in_one_process_and_an_edit_is_seen(tmp_path):
    first = plugin(tmp_path, 0.5)
    second = plugin(tmp_path, 0.25, "other.py")
    weights = [penalty_class("small-logits", [p])().weight for p in (first, second, first)]
    assert weights == [0.5, 0.25, 0.5]
    plugin(tmp_path, 0.125)
    assert penalty_class("small-logits", [first])().weight == 0.125


def test_an_installed_package_brings_its_own(monkeypatch):
    class FromPackage(Penalty):
        pass

    class Entry:
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
    assert penalty_class("packaged") is FromPackage
    found[0] = object()
    with pytest.raises(SpecError, match=r"package\.module:FromPackage, which is no Penalty"):
        penalty_class("packaged")


def test_an_unknown_name_is_an_error_with_the_nearest(tmp_path):
    with pytest.raises(SpecError, match=r"'bsss'(?s:.*)did you mean 'bss'"):
        penalty_class("bsss")
    with pytest.raises(SpecError, match="did you mean 'small-logits'"):
        penalty_class("small-logit", [plugin(tmp_path)])


@pytest.mark.parametrize(
    ("parameters", "where"), [({"etta": 1.0}, "bss.etta"), ({"k": 0}, "bss.k")]
)
def test_a_wrong_parameter_is_an_error_that_names_it(parameters, where):
    with pytest.raises(SpecError, match=where):
        load_penalties(Method(penalties={"bss": parameters}), ())


def test_a_plugin_that_cannot_be_imported_is_an_error_that_names_the_file(tmp_path):
    path = plugin(tmp_path)
    Path(path).write_text("import no_such_module\n" + Path(path).read_text())
    with pytest.raises(SpecError, match=r"mine\.py: cannot be imported.*no_such_module"):
        penalty_class("small-logits", [path])


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
