"""Metrics: their catalogue, their names, and the lookup of names in a spec."""
