"""The checks that every built-in part passes, run by ``bench test-method`` on a user's."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence

from bench.errors import SpecError, did_you_mean
from bench.parts.checks.common import Check, Subject, construction, imported, run_check
from bench.spec.parts import Kind, find_part, known_parts, part_names

__all__ = ["Check", "check_part", "each_check"]


def check_part(kind: Kind, name: str, plugins: Sequence[str] = ()) -> list[Check]:
    """Run all checks of its kind on a part with its default parameters.

    A few seconds; needs no data, no network and no GPU.

    Parameters
    ----------
    name
        As in YAML: a built-in, one of the ``plugins``' or an installed package's.
    plugins
        Python files.

    Raises
    ------
    SpecError
        If there is no such part, or its file cannot be read.
    """
    return list(each_check(kind, name, plugins))


def each_check(
    kind: Kind, name: str, plugins: Sequence[str] = (), begin: Callable[[str], object] = str
) -> Iterator[Check]:
    """Run the checks one by one, as ``check_part`` does; ``begin`` is told of each before it."""
    part = find_part(kind, name, tuple(plugins))
    if part is None:
        near = did_you_mean(name, part_names(kind, known_parts(tuple(plugins))))
        raise SpecError(f"there is no {kind} {name!r}", remedy=near)
    subject: Subject | None = None

    def load() -> None:
        nonlocal subject
        subject = Subject(kind, name, imported(kind, name, plugins), tuple(plugins))

    begin("import")
    check = run_check("import", load, part.file)
    yield check
    if subject is None:
        return
    begin("construction")
    check = run_check("construction", lambda: construction(subject), part.file)
    yield check
    if not check.passed:
        # What cannot be made has no other fault to be told of.
        return
    # A module a kind, named as the kind is; each offers `checks(subject)`.
    module = importlib.import_module(f"bench.parts.checks.{kind}")
    for check_name, function in module.checks(subject).items():
        begin(check_name)
        yield run_check(check_name, function, part.file)
