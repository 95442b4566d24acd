"""What a file imports is read from its text, and followed as Python would."""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

import pytest

from bench.records.imports import Import, Tree, closure, module_imports, tree_of


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))


def read(file: Path) -> tuple[Import, ...]:
    return module_imports(ast.parse(file.read_text()))


HOUSE = {
    "house/__init__.py": "",
    "house/rooms/__init__.py": "from house.rooms.base import Base",
    "house/rooms/base.py": "import os\nfrom house.errors import Wrong",
    "house/errors.py": "",
    "house/rooms/start.py": """
        from __future__ import annotations
        import json, house.rooms.plain as plain
        from typing import TYPE_CHECKING
        from house.rooms import by_name, Base
        from . import sibling
        from .deep.leaf import thing
        from house.other import outside
        try:
            from house.rooms import guarded
        except ImportError:
            import house.rooms.fallback
        if TYPE_CHECKING:
            from house.rooms import only_types
        else:
            from house.rooms import at_run_time
        class Holder:
            import house.rooms.in_class
        def chosen():
            from house.rooms import only_called
        later = lambda: __import__("house.rooms.only_called")
    """,
    **{
        f"house/rooms/{name}.py": ""
        for name in (
            "plain", "by_name", "sibling", "guarded", "fallback", "only_types", "at_run_time",
            "in_class", "only_called",
        )
    },
    "house/rooms/deep/__init__.py": "from ..shared import x",
    "house/rooms/deep/leaf.py": "from .twig import y\nfrom ..start import chosen\nthing = y",
    "house/rooms/deep/twig.py": "y = 1",
    "house/rooms/shared.py": "x = 1",
    "house/other/__init__.py": "",
    "house/other/outside.py": "",
}  # fmt: skip
FOLLOWED = {
    "rooms", "rooms.base", "rooms.start", "rooms.plain", "rooms.by_name", "rooms.sibling",
    "rooms.deep", "rooms.deep.leaf", "rooms.deep.twig", "rooms.shared", "rooms.guarded",
    "rooms.fallback", "rooms.at_run_time", "rooms.in_class",
}  # fmt: skip


def test_what_runs_on_import_is_followed_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, HOUSE)
    tree = Tree(tmp_path, ("house.rooms",))
    found = closure(tmp_path / "house/rooms/start.py", (tree,), read)
    assert {name.removeprefix("house.") for name in found} == FOLLOWED
    assert found["house.rooms"] == tmp_path / "house/rooms/__init__.py"


def test_it_is_what_python_itself_imports(tmp_path: Path) -> None:
    write(tmp_path, HOUSE)
    # All but the fallback, which only another machine would take.
    write(tmp_path, {"house/other/outside.py": "", "house/other/__init__.py": "outside = 1"})
    (tmp_path / "house/errors.py").write_text("class Wrong(Exception): pass")
    (tmp_path / "house/rooms/base.py").write_text("class Base: pass")
    (tmp_path / "house/rooms/deep/leaf.py").write_text("from .twig import y\nthing = y")
    code = "import sys, house.rooms.start; print(*(m for m in sys.modules if 'house.rooms' in m))"
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    imported = {name.removeprefix("house.") for name in out.stdout.split()}
    assert imported == FOLLOWED - {"rooms.fallback"}


def test_one_module_can_be_counted_alone(tmp_path: Path) -> None:
    write(tmp_path, {"a/b/c.py": "import a.b.d, a.b.c2", "a/b/d.py": "", "a/b/c2.py": ""})
    tree = Tree(tmp_path, ("a.b.c",))
    assert set(closure(tmp_path / "a/b/c.py", (tree,), read)) == {"a.b.c"}


@pytest.mark.parametrize(
    ("place", "followed"),
    [
        ("mine/part.py", {"part", "beside", "pack", "pack.inner"}),
        # In an installed package: all of that package, and no other.
        ("site-packages/far/part.py", {"far", "far.part", "far.beside"}),
        ("site-packages/part.py", {"part"}),
    ],
)
def test_a_file_of_the_users_takes_what_lies_beside_it(
    tmp_path: Path, place: str, followed: set[str]
) -> None:
    file = tmp_path / place
    folder = file.parent
    write(
        tmp_path,
        {
            place: "import torch, beside\nfrom pack import inner\nfrom house.rooms import base",
            "house/rooms/__init__.py": "",
            "house/rooms/base.py": "",
        },
    )
    write(folder, {"beside.py": "", "pack/__init__.py": "", "pack/inner.py": ""})
    if folder.name == "far":
        write(folder, {"__init__.py": ""})
        file.write_text("import torch\nfrom . import beside\nimport house.rooms.base")
    else:
        file.write_text("import beside\nfrom pack import inner\nimport house.rooms.base")
    if folder.name == "site-packages":
        write(folder, {"torch/__init__.py": ""})
    ours = Tree(tmp_path, ("house.rooms",))
    found = closure(file, (tree_of(file), ours), read)
    assert set(found) == followed | {"house.rooms", "house.rooms.base"}
