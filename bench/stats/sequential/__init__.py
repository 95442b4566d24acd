"""Looks at growing samples: their levels, sequential p-values, and settling a statement by them."""
