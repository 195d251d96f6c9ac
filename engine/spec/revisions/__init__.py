"""Deployed revisions of a spec: the file of a revision, and what it may reach on a node."""
