"""Retable: rebuild the tables of fine-tuning papers, with intervals and provenance.

``bench.open("bss/table2")`` opens a suite from Python: see :mod:`bench.interface`.
"""

import importlib
from typing import Any

from bench import sources

__version__ = "0.1.0"

# Before any numeric module is imported, by whatever command, worker or test.
sources.install()


def __getattr__(name: str) -> Any:
    # When it is asked for: workers import this package too, and nothing of reports and commands.
    if name == "open":
        return importlib.import_module("bench.interface").open
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
