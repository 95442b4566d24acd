"""The one training loop, its evaluation, and the way from a job to an outcome."""
