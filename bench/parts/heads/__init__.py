"""Initialisations of the head: one part a file, each named as in YAML; nothing here is imported before it is used."""
