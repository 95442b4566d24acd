"""Retable: rebuild the tables of fine-tuning papers, with intervals and provenance."""

from bench import sources
from bench.interface import Opened, open

__all__ = ["Opened", "open"]
__version__ = "0.1.0"

# Before any numeric module is imported, by whatever command, worker or test.
sources.install()
