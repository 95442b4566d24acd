from __future__ import annotations

import pytest

from bench.errors import SpecError
from bench.spec.parts import built_in_parts, known_parts, read_parts

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


def test_a_plug_in_may_not_take_a_built_in_name(tmp_path):
    file = write(tmp_path, GOOD.replace('"mine"', '"bss"'))
    with pytest.raises(SpecError, match="'bss' is already taken"):
        known_parts((str(file),))


def test_the_papers_penalties_are_built_in():
    penalties = {name for kind, name in built_in_parts() if kind == "penalty"}
    assert penalties == {"l2", "l2-sp", "delta", "bss"}


def test_signatures_agree_with_the_classes():
    # Reading the text and importing the class are two ways to the same signature.
    from bench.parts.compose import load_part
    from bench.spec.parts import DECLARED
    from bench.spec.recipe import Use

    for (kind, name), part in built_in_parts().items():
        instance = load_part(kind, Use(name=name))
        assert instance.model_dump() == part.parameters().model_dump(), (kind, name)
        for declared in DECLARED[kind]:
            assert getattr(instance, declared) == getattr(part, declared), (kind, name)
