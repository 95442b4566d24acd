"""Pictures in SVG, of tables and of curves: the same bytes for the same numbers."""
