"""Bringing what cells need of the Hub to where there is no network."""
