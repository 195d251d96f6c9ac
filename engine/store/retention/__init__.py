"""Retention: finds the rows and files of a state that have expired and are not needed any more, and removes them."""
