"""From records to leaderboards: tables in the paper's shape, pages, figures and CSV."""
