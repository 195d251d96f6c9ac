"""Snapshots: the stored summary of one side of a comparison."""
