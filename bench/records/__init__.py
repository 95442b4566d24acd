"""The store: immutable records, artifacts, leases."""
