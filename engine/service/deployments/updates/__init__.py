"""Updates of a deployment: the start of an operation, its states in order, and their steps."""
