"""Deployed revisions of a spec: the file of a revision, and its confinement on a node."""
