"""Initialisations of the head: one part a file; none is imported before it is used."""
