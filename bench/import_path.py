"""The path of imports, on which no file of the current folder shadows a module."""

import os
import sys

_HOME = os.path.realpath(os.path.join(os.path.dirname(__file__), os.pardir))


def import_path() -> list[str]:
    """Return ``sys.path`` without the current folder that ``python -m`` and ``-c`` put first.

    A user's ``random.py`` there would be imported in place of Python's own; and a ``msvcrt.py``
    even from behind it, by modules that ask in this way whether the system is another one. Where
    the folder is on the path for another reason, such as ``PYTHONPATH``, it comes behind all that
    has modules. Where it is Retable's checkout, an installed Retable stays behind it.
    """
    here = os.path.realpath(os.getcwd())
    others = [entry for entry in sys.path if os.path.realpath(entry) != here]
    if len(others) == len(sys.path) or not (here == _HOME or _is_named(here)):
        return others
    copies = [number for number, entry in enumerate(others) if _has_retable(entry)]
    place = copies[0] if copies and here == _HOME else len(others)
    return [*others[:place], here, *others[place:]]


def _is_named(here: str) -> bool:
    """Whether the current folder is on the path, or was asked to be, beside its first entry."""
    asked = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    return any(os.path.realpath(entry) == here for entry in (*sys.path[1:], *asked))


def _has_retable(entry: str) -> bool:
    return os.path.isfile(os.path.join(entry, "bench", "__init__.py"))


def with_package() -> dict[str, str]:
    """Return the environment of a process that imports this very package, installed or not."""
    given = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    return {**os.environ, "PYTHONPATH": os.pathsep.join([_HOME, *given])}
