"""What is kept of a table, so that it is read once: a distribution per column, and a sample of rows."""
