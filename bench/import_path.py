"""The path of imports, on which no file of the current folder shadows a module."""

import os
import sys

_HOME = os.path.realpath(os.path.join(os.path.dirname(__file__), os.pardir))


def import_path() -> list[str]:
    """Return ``sys.path`` with the current folder, where it is on it, behind all that has modules.

    ``python -m`` and ``python -c`` put it first: a user's ``random.py`` there would be imported in
    place of Python's own. Where it is Retable's checkout, an installed Retable stays behind it.
    """
    here = os.path.realpath(os.getcwd())
    others = [entry for entry in sys.path if os.path.realpath(entry) != here]
    if len(others) == len(sys.path):
        return others
    copies = [number for number, entry in enumerate(others) if _has_retable(entry)]
    place = copies[0] if copies and here == _HOME else len(others)
    return [*others[:place], here, *others[place:]]


def _has_retable(entry: str) -> bool:
    return os.path.isfile(os.path.join(entry, "bench", "__init__.py"))
