"""Functions that users write in Python files beside the spec, and the files that they need."""
