"""Segments of a batch: declared and found ones, measured on their own, with their metrics."""
