"""Changes of modules before training: one part a file; none is imported before it is used."""
