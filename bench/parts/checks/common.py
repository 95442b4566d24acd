"""What the checks of all kinds share: verdicts, the signature, equality, shared random streams."""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import numpy as np
import torch

from bench.errors import SpecError, UserError
from bench.models.checkpoint import brief
from bench.parts.compose import part_class
from bench.parts.part import Part
from bench.spec.parts import DECLARED, Kind, find_part

T = TypeVar("T")
Function = Callable[[], str | None]
Checks = Mapping[str, Function]
# Seeds of the shared streams that no part would choose, so that choosing one's own is seen.
SEED, _OTHER_SEED = 918_273, 645_342


@dataclass(frozen=True)
class Check:
    """One check's verdict; ``detail`` says what failed, or what was found or left out."""

    name: str
    passed: bool
    detail: str = ""


class Failed(Exception):
    """What a check found wrong."""


@dataclass(frozen=True)
class Subject:
    """The class that is checked, and where it was found."""

    kind: Kind
    name: str
    cls: type[Part]
    plugins: tuple[str, ...] = ()

    def part(self) -> Any:
        """Return the part with its defaults, and plain values where there is none."""
        given = {
            name: _plain_value(field.annotation)
            for name, field in self.cls.model_fields.items()
            if field.is_required()
        }
        return self.cls(**given)


def bound(subject: Subject, checks: Mapping[str, Callable[[Subject], str | None]]) -> Checks:
    """Return the signature's check, and then functions of a subject as checks of this one."""
    every = {"signature": signature, **checks}
    return {name: partial(check, subject) for name, check in every.items()}


def expect(condition: bool, problem: str) -> None:
    """Raise Failed, saying the problem, unless a condition holds."""
    if not condition:
        raise Failed(problem)


def run_check(name: str, function: Function, file: Path) -> Check:
    """Run a check; one that raises has failed, at the last place in the part's ``file``."""
    try:
        # A part that switches gradients off must not do so for the checks that follow.
        with torch.enable_grad():
            return Check(name, True, function() or "")
    except Failed as error:
        return Check(name, False, str(error))
    except UserError as error:
        return Check(name, False, str(error))
    except SystemExit as error:
        return Check(name, False, f"calls exit({error.code!r})" + _place(error, file))
    except Exception as error:
        problem = f"{type(error).__name__}: {brief(error)}"
        return Check(name, False, problem + _place(error, file))


def _place(error: BaseException, file: Path) -> str:
    """Return the last place of a traceback in a file, or its end where it is never there."""
    frames = [
        (Path(frame.f_code.co_filename), line)
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    own = [(at, line) for at, line in frames if at == file]
    at, line = (own or frames)[-1]
    return f", line {line} of {at.name}"


def imported(kind: Kind, name: str, plugins: Sequence[str]) -> type[Part]:
    """Return a part's class; fail where importing it moves or seeds the shared streams."""
    with shared_streams(SEED):
        try:
            return part_class(kind, name, plugins)
        except SpecError as error:
            # The fault itself, and where it is.
            raise error.__cause__ or error from None


def construction(subject: Subject) -> None:
    """Making a part may neither move nor seed the streams that all methods share."""
    with shared_streams(SEED):
        subject.part()


def _plain_value(annotation: Any) -> object:
    if get_origin(annotation) is Literal:
        return get_args(annotation)[0]
    if get_origin(annotation) is dict:
        return {}
    if get_origin(annotation) is tuple:
        return (_plain_value(get_args(annotation)[0]),)
    plain: dict[Any, object] = {float: 0.5, int: 1, bool: True, str: ""}
    known = next((a for a in (annotation, *get_args(annotation)) if a in plain), None)
    return plain.get(known, 0.5)


def signature(subject: Subject) -> None:
    """What is read from the file without importing it is what the class has."""
    part = find_part(subject.kind, subject.name, subject.plugins)
    if part is None:
        raise Failed(f"{subject.name!r} cannot be read from its file")
    read = {n: f.get_default() for n, f in part.parameters.model_fields.items()}
    real = {n: f.get_default() for n, f in subject.cls.model_fields.items()}
    expect(read == real, f"the file says {read}, but the class has {real}")
    for name, default in DECLARED[subject.kind].items():
        # What no base class has, and the class does not state, is what is taken to be meant.
        said, has = part.declared[name], getattr(subject.cls, name, default)
        expect(_plain(said) == _plain(has), f"{name} is {has!r}, and the file says {said!r}")


def _plain(value: Any) -> Any:
    """Return lists as tuples, since a file may say either."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return tuple(map(_plain, value)) if isinstance(value, list | tuple) else value


# -- equality ------------------------------------------------------------------------------------


def same(first: Any, second: Any) -> bool:
    """Whether two results are equal bit by bit: tensors, arrays, and what holds them."""
    if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        return first.dtype == second.dtype and torch.equal(first, second)
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        return first.dtype == second.dtype and np.array_equal(first, second)
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)


def twice(act: Callable[[], Any], problem: str) -> None:
    """Fail unless a function gives the same twice."""
    expect(same(act(), act()), problem)


# -- random streams that everything shares -------------------------------------------------------


@contextmanager
def shared_streams(seed: int, *, torch_too: bool = True) -> Iterator[None]:
    """Seed the global streams, fail where the block moves or seeds one, and put them back.

    Parameters
    ----------
    torch_too
        Whether torch's stream must stay as it is too.
    """
    state = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        try:
            before = _states()
            yield
            after = _states()
        finally:
            random.setstate(state[0])
            np.random.set_state(state[1])  # noqa: NPY002
    for name, value in before.items():
        kept = name == "torch" and not torch_too
        expect(kept or same(value, after[name]), f"draws from {name}'s random stream, or seeds it")


def _states() -> dict[str, Any]:
    numpy = np.random.get_state(legacy=False)  # noqa: NPY002
    return {"torch": torch.get_rng_state(), "Python": random.getstate(), "NumPy": numpy}


def undrawn(act: Callable[[], Any], *, between: Callable[[], object] = lambda: None) -> None:
    """Fail if a function sees or moves the random streams that all methods share.

    Parameters
    ----------
    between
        Is called between two calls that must give the same.
    """
    with shared_streams(SEED):
        first = act()
    between()
    with shared_streams(_OTHER_SEED):
        later = act()
    expect(same(first, later), "depends on more than it is given: on earlier calls or a seed")


# -- several things to try a part on -------------------------------------------------------------


def first_that_takes(candidates: Iterable[T], act: Callable[[T], object]) -> T:
    """Return the first candidate on which a function does not raise; else raise the first error."""
    errors: list[Exception] = []
    for candidate in candidates:
        try:
            act(candidate)
        except Exception as error:
            errors.append(error)
        else:
            return candidate
    raise errors[0]


def close(value: float, reference: float, tolerance: float, what: str) -> None:
    """Fail unless two numbers are near, relative to the second."""
    near = abs(value - reference) <= tolerance * max(abs(reference), 1e-6)
    expect(near, f"{what} differ: {value!r} and {reference!r}")
