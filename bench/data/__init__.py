"""Data: catalogue to batches. ``prepare`` is the door; ``batches`` is what training sees."""
