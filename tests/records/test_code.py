"""Each unit of code has its digest: of its files, and of what they import of ours."""

from __future__ import annotations

import sys
import textwrap
import time
from pathlib import Path

import pytest

from bench.errors import SpecError
from bench.records import code, imports
from bench.records.code import Unit, code_digests, units_of
from bench.spec.cell import Cell, Resources
from tests.records.built import cell, measurement


def digests(cell: Cell, *plugins: Path) -> dict[str, str]:
    return code_digests(units_of(cell, Resources(plugins=tuple(map(str, plugins)))))


def plugin(folder: Path, body: str = "") -> Path:
    file = folder / "mine.py"
    folder.mkdir(exist_ok=True)
    text = """
        from bench.parts import Penalty, penalty

        @penalty("mine")
        class Mine(Penalty):
            weight: float = 1.0

        @penalty("also-mine")
        class AlsoMine(Penalty):
            weight: float = 2.0
    """
    file.write_text(body + textwrap.dedent(text))
    return file


def test_a_cell_has_a_unit_for_its_kind_its_parts_and_its_data() -> None:
    found = digests(cell(penalties={"l2": {}, "bss": {}}))
    assert sorted(found) == [
        "data:procedural:glyphs", "head:normal", "objective:classification", "penalty:bss",
        "penalty:l2", "train", "trainable:all", "update:gradient",
    ]  # fmt: skip
    assert len(set(found.values())) == 8
    assert sorted(digests(measurement())) == [
        "data:procedural:glyphs", "measure", "measurement:channel-attention",
        "objective:classification",
    ]  # fmt: skip
    resources = Resources(folders={"mine": "/photos"})
    for dataset, unit in {"digits": "data:digits", "mine": "data:folder"}.items():
        assert unit in {u.name for u in units_of(cell(dataset=dataset), resources)}


def test_parts_in_one_file_share_a_digest_wherever_it_lies(tmp_path: Path) -> None:
    one, other = plugin(tmp_path / "one"), plugin(tmp_path / "other")
    made = digests(cell(penalties={"mine": {}, "also-mine": {}}), one)
    assert made["penalty:mine"] == made["penalty:also-mine"]
    moved = digests(cell(penalties={"mine": {}}), other)
    assert moved["penalty:mine"] == made["penalty:mine"]
    edited = plugin(tmp_path / "edited", "TWO = 2\n")
    assert digests(cell(penalties={"mine": {}}), edited)["penalty:mine"] != made["penalty:mine"]


def test_what_a_plug_in_imports_from_beside_it_counts(tmp_path: Path) -> None:
    found = []
    for number, text in enumerate(["x = 1\n", "x = 1  # why\n", "x = 2\n"]):
        file = plugin(tmp_path / str(number), "from beside import x\n")
        (file.parent / "beside.py").write_text(text)
        (file.parent / "unused.py").write_text(f"{number}\n")
        found.append(digests(cell(penalties={"mine": {}}), file)["penalty:mine"])
    assert found[0] == found[1] != found[2]


def test_what_a_plug_in_imports_later_counts_too_and_never_the_standard_librarys(
    tmp_path: Path,
) -> None:
    later = "import random\ndef use():\n    import beside\n"
    found = []
    for number, (beside, shadow) in enumerate([("x = 1", ""), ("x = 2", ""), ("x = 1", "y = 1")]):
        file = plugin(tmp_path / str(number), later)
        (file.parent / "beside.py").write_text(beside)
        (file.parent / "random.py").write_text(shadow)
        found.append(digests(cell(penalties={"mine": {}}), file)["penalty:mine"])
    assert found[0] != found[1]
    assert found[0] == found[2]


def test_a_part_of_an_installed_package_is_found_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "faraway"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (package / "parts.py").write_text(
        "@penalty('faraway-part')\nclass Far(Penalty):\n    weight: float = 1.0\n"
    )
    info = tmp_path / "faraway-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faraway\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[retable.penalties]\nfaraway-part = faraway.parts:Far\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "penalty:faraway-part" in digests(cell(penalties={"faraway-part": {}}))
    assert "faraway" not in sys.modules


def test_an_unknown_part_and_an_unknown_dataset_are_errors() -> None:
    with pytest.raises(SpecError, match="no-such-part"):
        digests(cell(penalties={"no-such-part": {}}))
    with pytest.raises(SpecError, match="no-such-set"):
        digests(cell(dataset="no-such-set"))


def test_code_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"gone\.py: cannot be read"):
        code_digests([Unit("x", (tmp_path / "gone.py",))])
    (tmp_path / "odd.py").write_text("def (")
    with pytest.raises(SpecError, match=r"odd\.py: is not Python"):
        code_digests([Unit("x", (tmp_path / "odd.py",))])


def test_digests_are_quick() -> None:
    for cached in (code._digest, code._read, code._part, code._data, imports._file_of):
        cached.cache_clear()
    used = [
        unit
        for dataset in ("glyphs", "fractals", "digits")
        for unit in units_of(
            cell(dataset=dataset, penalties={"l2": {}, "bss": {}, "delta": {}}), Resources()
        )
    ]
    start = time.process_time()
    code_digests(used)
    # 0.2 s on an idle core; a busy one is slower even by its own clock.
    assert time.process_time() - start < 0.6
