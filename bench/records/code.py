"""Digests of the code that can change a cell's numbers."""

from __future__ import annotations

import ast
import hashlib
import io
import tokenize
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from bench.errors import SpecError
from bench.spec.parts import installed_part, known_parts

_PACKAGE = Path(__file__).parent.parent
_FOLDERS = ("data", "methods", "models", "training")
# They check a user's penalty; no cell runs them.
_CHECKS = frozenset(f"methods/{name}.py" for name in ("conformance", "smoke", "synthetic"))
_SPEC = ("spec/cell.py", "spec/recipe.py", "spec/seeds.py")
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
# From Python 3.12 an f-string is a start, parts and an end; before, one string.
_STARTS = {code for code, name in tokenize.tok_name.items() if name.endswith("STRING_START")}
_ENDS = {code for code, name in tokenize.tok_name.items() if name.endswith("STRING_END")}
Place = tuple[int, int]


def code_digests(parts: Iterable[str], plugins: Iterable[str] = ()) -> dict[str, str]:
    """Return the digest of the numeric code: ``core``, and one entry for each part.

    Comments, docstrings, blank lines and line endings do not count; shipped weights and YAML,
    which have digests of their own, neither. Files are read once in a process.

    Parameters
    ----------
    parts
        Names of penalties.
    plugins
        Python files that may define them.

    Raises
    ------
    SpecError
        If a part is not known.
    """
    known = known_parts(tuple(plugins))
    digests = {"core": _core()}
    for name in parts:
        part = known.get(name) or installed_part(name)
        if part is None:
            raise SpecError(f"the part {name!r} is not known")
        digests[name] = _file(str(part.file))
    return digests


@lru_cache(maxsize=1)
def _core() -> str:
    total = hashlib.sha256()
    for path in sorted(_core_files(), key=lambda path: path.relative_to(_PACKAGE).as_posix()):
        name = path.relative_to(_PACKAGE).as_posix()
        total.update(f"{name}\0{_file(str(path))}\n".encode())
    return total.hexdigest()


def _core_files() -> Iterator[Path]:
    penalties = _PACKAGE / "methods" / "penalties"
    for folder in _FOLDERS:
        for path in (_PACKAGE / folder).rglob("*.py"):
            checks = path.relative_to(_PACKAGE).as_posix() in _CHECKS
            if not (checks or path.is_relative_to(penalties)):
                yield path
    for name in _SPEC:
        yield _PACKAGE / name


@lru_cache(maxsize=1024)
def _file(path: str) -> str:
    with tokenize.open(path) as file:
        return hashlib.sha256(bare(file.read()).encode()).hexdigest()


def bare(source: str) -> str:
    """Return Python source without comments, docstrings, blank lines and trailing spaces.

    Works on the text and not on tokens or the syntax tree, whose forms change with Python's
    version; the text that remains is the same on all of them.
    """
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    lines = source.split("\n")
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    inside = _lines_inside_strings(tokens)
    cuts = [(t.start, t.end) for t in tokens if t.type == tokenize.COMMENT]
    for start, end in _docstrings(source, lines):
        inside.difference_update(range(start[0], end[0]))
        cuts.append((start, end))
    for start, end in sorted(cuts, reverse=True):
        _cut(lines, start, end)
    kept = []
    for number, line in enumerate(lines, start=1):
        # A string that goes on over the line's end keeps its spaces and empty lines.
        text = line if number in inside else line.rstrip()
        if text or number in inside:
            kept.append(text)
    return "\n".join(kept)


def _cut(lines: list[str], start: Place, end: Place) -> None:
    (first, left), (last, right) = start, end
    head, tail = lines[first - 1][:left], lines[last - 1][right:]
    lines[first - 1 : last] = [head + tail, *[""] * (last - first)]


def _docstrings(source: str, lines: list[str]) -> list[tuple[Place, Place]]:
    found = []
    for body in _bodies(ast.parse(source)):
        first = body[0] if body else None
        if (
            isinstance(first, ast.Expr)
            and isinstance(first.value, ast.Constant)
            and isinstance(first.value.value, str)
        ):
            text = first.value
            assert text.end_lineno is not None
            assert text.end_col_offset is not None
            start = (text.lineno, _column(lines[text.lineno - 1], text.col_offset))
            end = (text.end_lineno, _column(lines[text.end_lineno - 1], text.end_col_offset))
            found.append((start, end))
    return found


def _bodies(module: ast.Module) -> Iterator[list[ast.stmt]]:
    # Only statements hold definitions: looking at expressions too would take twice the time.
    nodes: list[ast.AST] = [module]
    while nodes:
        node = nodes.pop()
        if isinstance(node, _DOCUMENTED):
            yield node.body
        for field in ("body", "orelse", "handlers", "finalbody", "cases"):
            inner = getattr(node, field, ())
            # The body of a lambda or of a conditional expression is no list.
            nodes.extend(inner if isinstance(inner, list) else ())


def _column(line: str, offset: int) -> int:
    # The syntax tree counts bytes, tokens count characters.
    return len(line.encode()[:offset].decode())


def _lines_inside_strings(tokens: list[tokenize.TokenInfo]) -> set[int]:
    """Return the lines whose end lies within a string literal."""
    inside: set[int] = set()
    open_at: list[int] = []
    for token in tokens:
        if token.type in _STARTS:
            open_at.append(token.start[0])
        elif token.type in _ENDS:
            inside.update(range(open_at.pop(), token.end[0]))
        elif token.type == tokenize.STRING:
            inside.update(range(token.start[0], token.end[0]))
    return inside
