"""Checks and data quality rules of a project, as checks, contracts and queries of a spec, and the mistakes in them."""
