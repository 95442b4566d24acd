"""Executing jobs on other machines: what travels there, what runs there, and what comes back."""
