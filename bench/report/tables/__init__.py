"""The tables of a page: our numbers, their differences, the reported ones."""
