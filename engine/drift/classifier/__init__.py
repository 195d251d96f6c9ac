"""All columns at once: how well boosted trees tell the rows of two tables apart."""
