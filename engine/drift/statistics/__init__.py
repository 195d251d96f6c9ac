"""The size of a difference between two distributions."""
