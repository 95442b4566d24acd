"""From YAML to validated suites to cells; knows nothing of torch."""
