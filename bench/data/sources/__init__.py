"""Where rows come from: the Hub, a folder, scikit-learn's digits, a generator."""
