"""Metrics: which there are, what they are called, and which metric a name in a spec is."""
