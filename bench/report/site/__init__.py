"""The static site: an index, a page a paper, a page a cell, from the leaderboards' own objects."""
