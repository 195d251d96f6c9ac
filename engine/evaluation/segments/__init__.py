"""Declared and found segments of a batch, measured separately, and their metrics."""
