"""What ``bench new`` writes: files that run as they are, to be changed by who asked for them."""
