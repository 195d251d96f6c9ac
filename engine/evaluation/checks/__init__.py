"""Checks: a check of the spec applied to the metrics of a dataset or an evaluation, and what its result is worth."""
