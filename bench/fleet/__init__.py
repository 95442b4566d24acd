"""Fleets: runners that a cluster's scheduler starts for one command, and what is known of them."""
