"""Whether chance explains a difference: exact tests, and the verdict over a family of columns."""
