"""What executes jobs: one file an engine."""
