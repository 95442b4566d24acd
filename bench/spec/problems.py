"""From a pydantic error to one message with the file, the line, the field and the remedy."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from bench.errors import SpecError, did_you_mean
from bench.spec.loader import Document, Key, Where

M = TypeVar("M", bound=BaseModel)


class Source:
    """Where a value may have come from: a document and the path of a fragment in it."""

    def __init__(self, document: Document, prefix: Where = ()) -> None:
        self.document = document
        self.prefix = prefix

    def at(self, *keys: Key) -> Source:
        """Return the source of something inside this one."""
        return Source(self.document, (*self.prefix, *keys))

    def has(self, loc: Iterable[Key]) -> bool:
        """Whether exactly this path is written here."""
        return (*self.prefix, *loc) in self.document.lines

    def error(self, message: str, loc: Iterable[Key] = (), remedy: str | None = None) -> SpecError:
        """Return an error at a path inside this source."""
        path = (*self.prefix, *loc)
        return SpecError(
            message,
            file=self.document.file,
            line=self.document.line(path),
            field=".".join(map(str, path)) or None,
            remedy=remedy,
        )


class AxisSource(Source):
    """Where a dotted axis is written, beside the fragments that its value is laid over.

    Parameters
    ----------
    whole
        The fragment with the axis.
    axis
        The path at which the axis is written there.
    path
        The keys that it sets; ``inside`` are those that lead to this source.
    others
        The fragments; a key on the way to the value is the axis's where none of them wrote it.
    """

    def __init__(
        self, whole: Source, axis: Where, path: Where, others: Sequence[Source], inside: Where = ()
    ) -> None:
        super().__init__(whole.document, whole.prefix)
        self._whole, self._axis, self._path = whole, axis, path
        self._others, self._inside = others, inside

    def at(self, *keys: Key) -> AxisSource:
        """Return the source of something inside what the axis sets."""
        others = [other.at(*keys) for other in self._others]
        return AxisSource(self._whole, self._axis, self._path, others, (*self._inside, *keys))

    def has(self, loc: Iterable[Key]) -> bool:
        """Whether the axis sets this path, or leads to what it sets."""
        loc = tuple(loc)
        here = (*self._inside, *loc)
        if here == self._path:
            return True
        leads = bool(loc) and self._path[: len(here)] == here
        return leads and not any(other.has(loc) for other in self._others)

    def error(self, message: str, loc: Iterable[Key] = (), remedy: str | None = None) -> SpecError:
        """Return an error at the axis."""
        return self._whole.error(message, self._axis, remedy)


def validate(model: type[M], data: Any, sources: list[Source]) -> M:
    """Validate data against a model.

    Parameters
    ----------
    sources
        The fragments that the data was merged from, in order; an error is reported at the last
        one that wrote the offending path.

    Raises
    ------
    SpecError
        For the first problem; it says how many more there are.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise _first_problem(model, error, sources) from None


def _first_problem(
    model: type[BaseModel], error: ValidationError, sources: list[Source]
) -> SpecError:
    problems = error.errors(include_url=False)
    first = problems[0]
    loc = _written(sources, first)
    known = _fields_at(model, loc[:-1])
    if first["type"] == "extra_forbidden":
        message, remedy = "unknown key", did_you_mean(loc[-1], known)
    elif first["type"] == "missing":
        message, remedy = "is required", "add it"
    else:
        message = _plain(first)
        given = first.get("input")
        if isinstance(given, str | int | float | bool):
            message += f" (given: {given!r})"
        remedy = None
    # A value that fits no branch of a union is one problem, however many branches there are.
    places = {_written(sources, problem) for problem in problems}
    if len(places) > 1:
        rest = "problem" if len(places) == 2 else "problems"
        message += f" (and {len(places) - 1} more {rest})"
    return _best_source(sources, loc).error(message, loc, remedy)


def _plain(problem: Any) -> str:
    kind = problem["type"]
    if kind in ("dict_type", "model_type", "model_attributes_type"):
        return "must be a mapping"
    if kind in ("tuple_type", "list_type"):
        return "must be a list"
    return str(problem["msg"]).removeprefix("Value error, ")


def _written(sources: list[Source], problem: Any) -> Where:
    """Return the path as it stands in a file, without pydantic's names of union branches."""
    loc = tuple(problem["loc"])
    # What is missing stands nowhere: that in which it is missing does.
    absent = loc[-1:] if problem["type"] == "missing" else ()
    for length in range(len(loc) - len(absent), 0, -1):
        if any(source.has(loc[:length]) for source in sources):
            return loc[:length] + absent
    return loc


def _best_source(sources: list[Source], loc: Where) -> Source:
    for length in range(len(loc), 0, -1):
        for source in reversed(sources):
            if source.has(loc[:length]):
                return source
    return sources[0]


def _fields_at(model: type[BaseModel], loc: Where) -> list[str]:
    current: Any = model
    for key in loc:
        fields = getattr(current, "model_fields", {})
        if key in fields:
            current = _model_in(fields[key].annotation)
        elif current is not None and not fields:
            current = None
    return list(getattr(current, "model_fields", {}))


def _model_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in typing.get_args(annotation):
        found = _model_in(inner)
        if found is not None:
            return found
    return None
