"""Estimates and their intervals: pure functions of arrays."""
