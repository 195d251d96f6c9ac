"""Trained versions on disk: their files, what they were saved with, and whether they can be used here."""
