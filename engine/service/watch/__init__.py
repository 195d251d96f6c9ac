"""Watching the files of projects: which folders, when to look, and what to run."""
