"""Evaluations: compare a batch with a reference, measure a model's performance on it, and apply checks."""
