"""From a pydantic error to one message with the file, the line, the field and the remedy."""

from __future__ import annotations

import typing
from collections.abc import Iterable
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
    loc = tuple(first["loc"])
    known = _fields_at(model, loc[:-1])
    if first["type"] == "extra_forbidden":
        message, remedy = "unknown key", did_you_mean(loc[-1], known)
    elif first["type"] == "missing":
        message, remedy = "is required", "add it"
    else:
        message = first["msg"].removeprefix("Value error, ")
        given = first.get("input")
        if isinstance(given, str | int | float | bool):
            message += f" (given: {given!r})"
        remedy = None
    if len(problems) > 1:
        rest = "problem" if len(problems) == 2 else "problems"
        message += f" (and {len(problems) - 1} more {rest})"
    return _best_source(sources, loc).error(message, loc, remedy)


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
