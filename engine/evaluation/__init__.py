"""Evaluations: a batch is compared with a reference, a model is measured on it, and checks are applied."""
