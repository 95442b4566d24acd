"""What one step does with gradients: one part a file; none is imported before it is used."""
