"""Retable: rebuild the tables of fine-tuning papers, with intervals and provenance."""

__version__ = "0.1.0"
