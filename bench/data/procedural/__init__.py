"""Procedural image sets: made from a fixed seed, bit for bit the same on every machine."""
