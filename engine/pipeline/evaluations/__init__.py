"""Evaluations of batches: inputs, measurement, challenger, other references."""
