"""Functions that keep something from one call to the next, and those that certainly do not."""

from __future__ import annotations

import dis
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType

import torch
from torch import nn

from bench.training.tree import CannotSaveError

_KNOWN = ("torch.", "torchvision.", "timm.", "bench.")
FUNCTIONS = (FunctionType, MethodType, BuiltinFunctionType, partial)
_PLAIN = (
    bool, int, float, str, bytes, type(None), torch.dtype, torch.device, type, ModuleType,
    nn.Module,
)  # fmt: skip


def of_libraries(thing: object) -> bool:
    """Whether a class or function is torch's, torchvision's, timm's or Retable's."""
    return f"{getattr(thing, '__module__', None) or ''}.".startswith(_KNOWN)


def check_stateless(value: object) -> None:
    """See that calling a function changes nothing that it sees, but for modules and globals.

    Raises
    ------
    CannotSaveError
        If it may: a user's function that encloses what can be changed, or a method of an object.
    """
    _check(value, set())


def _check(value: object, seen: set[int]) -> None:
    if id(value) in seen or isinstance(value, _PLAIN):
        return
    seen.add(id(value))
    if isinstance(value, FunctionType):
        inner = [] if of_libraries(value) else _enclosed(value)
    elif isinstance(value, MethodType):
        inner = [value.__self__]
    elif isinstance(value, partial):
        inner = [value.func, *value.args, *value.keywords.values()]
    elif isinstance(value, BuiltinFunctionType):
        inner = [value.__self__]
    elif isinstance(value, tuple | frozenset):
        inner = [*value]
    elif callable(value) and of_libraries(type(value)):
        return
    else:
        raise CannotSaveError(f"a function with {_called(value)}, which may be changed")
    for each in inner:
        _check(each, seen)


def _enclosed(function: FunctionType) -> list[object]:
    """Return what a user's function has beside its arguments and globals."""
    if function.__dict__.keys() - {"__wrapped__"}:
        raise CannotSaveError("a function with attributes, which may be changed")
    free = function.__code__.co_freevars
    steps = dis.get_instructions(function)
    if any(each.opname == "STORE_DEREF" and each.argval in free for each in steps):
        raise CannotSaveError("a function that changes a variable of the one around it")
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    return [*cells, *defaults, *function.__dict__.values()]


def _called(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
