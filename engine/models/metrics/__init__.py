"""Performance metrics of rows that have a label, with their confidence intervals."""
