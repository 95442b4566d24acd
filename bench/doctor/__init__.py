"""The check of a machine: what Retable needs of it, looked at one thing at a time."""
