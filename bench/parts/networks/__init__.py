"""Networks that are not timm's: one part a file; none is imported before it is used."""
