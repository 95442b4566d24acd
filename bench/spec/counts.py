"""Counts that a part states by its parameters: sums and products such as ``n_ref + 1``."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any


def count(expression: str, values: Mapping[str, Any]) -> int:
    """Return what an expression of whole numbers and names comes to.

    >>> count("2 * (n_ref + 1)", {"n_ref": 2})
    6

    Raises
    ------
    ValueError
        If it is anything but a sum or product of whole numbers and of names that have a value.
    """
    try:
        return _value(ast.parse(expression, mode="eval").body, values)
    except (SyntaxError, RecursionError, MemoryError):
        raise ValueError(expression) from None


def _value(node: ast.expr, values: Mapping[str, Any]) -> int:
    match node:
        case ast.Constant(value=int() as number) if not isinstance(number, bool):
            return number
        case ast.Name(id=name) if name in values:
            return int(values[name])
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _value(left, values) + _value(right, values)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return _value(left, values) * _value(right, values)
    raise ValueError(ast.unparse(node))
