"""The check before a run's first cell: what can be known to fail is told at once."""
