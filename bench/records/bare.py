"""Python source without what no computer reads: comments, docstrings, blank lines."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
# From Python 3.12 an f-string is a start, parts and an end; before, one string.
_STARTS = {code for code, name in tokenize.tok_name.items() if name.endswith("STRING_START")}
_ENDS = {code for code, name in tokenize.tok_name.items() if name.endswith("STRING_END")}
Place = tuple[int, int]


def bare(source: str, tree: ast.Module | None = None) -> str:
    """Return Python source without comments, docstrings, blank lines and trailing spaces.

    ``tree`` is the source's syntax tree where it is known, with any line endings.
    Works on the text and not on tokens or the syntax tree, whose forms change with Python's
    version; the text that remains is the same on all of them.
    """
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    lines = source.split("\n")
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    inside = _lines_inside_strings(tokens)
    cuts = [(t.start, t.end) for t in tokens if t.type == tokenize.COMMENT]
    for start, end in _docstrings(tree or ast.parse(source), lines):
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


def _docstrings(tree: ast.Module, lines: list[str]) -> list[tuple[Place, Place]]:
    found = []
    for body in _bodies(tree):
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
