"""Losses and metrics: one part a file; none is imported before it is used."""
