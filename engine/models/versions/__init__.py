"""Trained versions on disk: their files, the libraries that saved them, and whether they can be used here."""
