"""What is imported is what is digested, whatever happens to the file or lies beside it."""

from __future__ import annotations

import importlib
import os
import py_compile
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import sources
from bench.errors import SpecError


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module that counts as numeric, on the path and not imported yet."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sources, "NUMERIC", ("numeric_house",))
    yield tmp_path / "numeric_house.py"
    sys.modules.pop("numeric_house", None)


def imported() -> int:
    importlib.invalidate_caches()
    return int(importlib.import_module("numeric_house").X)


def test_an_edit_between_digest_and_import_is_not_imported(house: Path) -> None:
    house.write_text("X = 1\n")
    assert sources.content(house) == b"X = 1\n"
    house.write_text("X = 2\n")
    assert imported() == 1


def test_an_edit_after_the_import_is_not_digested(house: Path) -> None:
    house.write_text("X = 1\n")
    assert imported() == 1
    house.write_text("X = 2\n")
    assert sources.content(house) == b"X = 1\n"


def test_bytecode_of_another_text_is_never_run(house: Path) -> None:
    # Python takes bytecode for a file's if the file's size and second are what they were.
    house.write_text("X = 1\n")
    py_compile.compile(str(house), doraise=True)
    before = house.stat()
    house.write_text("X = 2\n")
    os.utime(house, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert imported() == 2


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        sources.content(tmp_path / "gone.py")


def test_what_may_change_a_number_is_found_by_it_and_nothing_else() -> None:
    numeric = ("bench.data", "bench.parts.penalties.l2", "bench.spec.seeds")
    assert all(map(sources.is_numeric, numeric))
    assert not any(map(sources.is_numeric, ("bench.spec.cell", "bench.database", "torch")))
    seeds = importlib.import_module("bench.spec.seeds")
    assert isinstance(seeds.__spec__.loader, sources.SourceLoader)


def test_one_name_never_stands_for_two_files(tmp_path: Path) -> None:
    """Of two plug-ins with helpers of one name one would compute with the other's."""
    first, second = tmp_path / "a" / "own_helper.py", tmp_path / "b" / "own_helper.py"
    sources.offer({"own_helper": first})
    sources.offer({"own_helper": first})
    with pytest.raises(SpecError, match=r"own_helper lies here and beside another part"):
        sources.offer({"own_helper": second})
