"""What was run, as tables from which every cell's settings can be told, and no others."""
