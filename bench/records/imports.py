"""Which files a Python file imports when it is itself imported, found without importing any."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_DEFERRED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_NESTED = (ast.stmt, ast.ExceptHandler, ast.match_case)
_INSTALLED = ("site-packages", "dist-packages")


@dataclass(frozen=True)
class Import:
    """One imported name: ``from ..package import name`` is level 2; level 0 is absolute."""

    level: int
    module: str
    name: str | None = None


@dataclass(frozen=True)
class Tree:
    """Modules that lie below one folder.

    Attributes
    ----------
    root
        Folder of the top-level modules.
    counted
        Dotted names of the packages and modules that count, with all below them; all if empty.
    """

    root: Path
    counted: tuple[str, ...] = ()

    def find(self, module: str) -> Path | None:
        """Return a module's file if it counts and is there."""
        if self.counted and not any(f"{module}.".startswith(f"{name}.") for name in self.counted):
            return None
        if module.partition(".")[0] in sys.stdlib_module_names:
            # The standard library's is already imported, whatever lies here by its name.
            return None
        return _file_of(self.root, module)

    def module(self, file: Path) -> str:
        """Return the dotted name of a file below the root."""
        parts = file.relative_to(self.root).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@lru_cache(maxsize=16384)
def _file_of(root: Path, module: str) -> Path | None:
    base = root.joinpath(*module.split("."))
    files = (base.with_name(f"{base.name}.py"), base / "__init__.py")
    return next((file for file in files if file.is_file()), None)


def tree_of(file: Path) -> Tree:
    """Return the tree of a file that is not ours: its package, or the modules beside it."""
    folder = file.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    if folder != file.parent:
        return Tree(folder, (file.relative_to(folder).parts[0],))
    # All that is installed lies beside an installed module.
    return Tree(folder, (file.stem,) if folder.name in _INSTALLED else ())


def closure(
    file: Path, trees: tuple[Tree, ...], imports: Callable[[Path], tuple[Import, ...]]
) -> dict[str, Path]:
    """Return all files that importing a file imports, itself among them, by dotted name.

    Parameters
    ----------
    file
        In the first tree.
    trees
        Where modules are looked for; what none of them has (a library) is not followed.
    imports
        A file's imports at module level.
    """
    found: dict[str, Path] = {}
    todo = [(trees[0].module(file), file)]
    while todo:
        module, file = todo.pop()
        if module in found:
            continue
        found[module] = file
        for one in imports(file):
            for name in _named(one, module, file.name == "__init__.py"):
                place = next((f for tree in trees if (f := tree.find(name)) is not None), None)
                if place is not None:
                    todo.append((name, place))
    return found


def _named(one: Import, module: str, package: bool) -> Iterator[str]:
    """Yield the modules that an import may run: each package on the way, and the name itself."""
    base = one.module
    if one.level:
        # A package's own file is level 1 of itself.
        above = module.split(".")
        above = above[: len(above) - one.level + package]
        base = ".".join([*above, base] if base else above)
    full = f"{base}.{one.name}" if one.name is not None else base
    parts = full.split(".")
    for count in range(1, len(parts) + 1):
        yield ".".join(parts[:count])


def module_imports(tree: ast.Module, *, deferred: bool = False) -> tuple[Import, ...]:
    """Return the imports that run when a module is imported; not those for type checkers.

    Parameters
    ----------
    deferred
        With those inside functions, which run later, if at all.
    """
    found: list[Import] = []
    nodes: list[ast.AST] = list(tree.body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            found += [Import(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [Import(node.level, node.module or "", alias.name) for alias in node.names]
        elif isinstance(node, ast.If) and _for_type_checkers(node.test):
            nodes += node.orelse
        elif isinstance(node, _NESTED) and (deferred or not isinstance(node, _DEFERRED)):
            nodes += ast.iter_child_nodes(node)
    return tuple(found)


def _for_type_checkers(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"
