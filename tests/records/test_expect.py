"""What records should say is found without loading anything."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from bench.errors import SpecError, WeightsError
from bench.records import expect
from bench.records.expect import expectations, joined
from bench.records.freshness import Expectations
from bench.spec.cell import Resources
from tests.records.built import cell


def test_each_origin_has_its_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expect, "SHIPPED", tmp_path)
    (tmp_path / "near.json").write_text(json.dumps({"sha256": "shipped digest", "classes": 3}))
    mine = tmp_path / "mine.safetensors"
    mine.write_bytes(b"weights")
    cells = [cell(weights=w) for w in ("shipped:near", "file:mine", "random", "timm", "stage")]
    resources = Resources(files={"mine": (str(mine), 10)})
    found = expectations(cells, resources, {"glyphs": "data digest"}.get)
    assert found.weights == {
        "shipped:near": "shipped digest",
        "file:mine": hashlib.sha256(b"weights").hexdigest(),
        "random": None, "timm": None, "stage": None,
    }  # fmt: skip
    assert found.data == {"glyphs": "data digest"}
    assert set(found.code) >= {"train", "head:normal", "data:procedural:glyphs"}
    assert set(found.units[cells[0].id]) == set(found.code)


def test_a_weights_file_is_hashed_again_only_when_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, cache = tmp_path / "mine.safetensors", tmp_path / "deep" / "cache.json"
    mine.write_bytes(b"one")
    asked = []
    monkeypatch.setattr(expect, "file_sha256", lambda path: asked.append(path) or f"d{len(asked)}")
    resources = Resources(files={"mine": (str(mine), 10)})

    def digest() -> str | None:
        return expectations([cell(weights="file:mine")], resources, cache=cache).weights[
            "file:mine"
        ]

    assert [digest(), digest()] == ["d1", "d1"]
    os.utime(mine, ns=(1, 1))
    assert [digest(), digest()] == ["d2", "d2"]
    mine.write_bytes(b"longer")
    os.utime(mine, ns=(1, 1))
    assert digest() == "d3"
    cache.write_text("not json")
    assert digest() == "d4"


def test_a_weights_file_that_is_gone_is_an_error(tmp_path: Path) -> None:
    resources = Resources(files={"mine": (str(tmp_path / "gone"), 10)})
    with pytest.raises(WeightsError, match=r"gone: the weights 'mine' cannot be read"):
        expectations([cell(weights="file:mine")], resources)


def test_versions_are_those_that_records_name_and_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; from bench.records.expect import versions_here;"
        "print(versions_here(), {'torch', 'timm', 'numpy'} & set(sys.modules))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    expected = {"python": platform.python_version()}
    for name in ("torch", "torchvision", "timm", "numpy", "pillow"):
        expected[name] = importlib.metadata.version(name)
    assert told.strip() == f"{expected} set()"


def test_what_several_suites_expect_is_put_together() -> None:
    one = Expectations(
        {"train": "t"}, {"1": ("train",)}, {"digits": "d"}, {"random": None}, frozenset("a")
    )
    other = Expectations(
        {"train": "t", "penalty:l2": "p"}, {"2": ("train", "penalty:l2")}, {"mine": None}
    )
    both = joined({"a/x": one, "a/y": other})
    assert both.code == {"train": "t", "penalty:l2": "p"}
    assert both.units == {"1": ("train",), "2": ("train", "penalty:l2")}
    assert both.data == {"digits": "d", "mine": None}
    assert (both.weights, both.fractions) == ({"random": None}, {"a"})


@pytest.mark.parametrize(
    ("of", "name", "said"),
    [
        ("code", "penalty:mine", "penalty:mine of a/y is another than that of a/x"),
        ("data", "mine", "dataset mine of a/y"),
        ("weights", "file:mine", "weights file:mine of a/y"),
    ],
)
def test_two_things_of_one_name_are_not_put_together(of: str, name: str, said: str) -> None:
    one, other = (Expectations(**{of: {name: digest}}) for digest in ("1", "2"))  # type: ignore[arg-type]
    with pytest.raises(SpecError, match=f"{said}.*\n  give one of them another name"):
        joined({"a/x": one, "a/y": other})
