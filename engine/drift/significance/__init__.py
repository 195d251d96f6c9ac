"""Whether chance explains a difference: exact tests, and verdicts for a family of columns."""
