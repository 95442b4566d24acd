"""A claim on a page: its comparisons, the verdict on it, and what further seeds would decide."""
