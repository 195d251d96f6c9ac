"""Compare all columns at once: measure how well boosted trees tell the rows of two tables apart."""
