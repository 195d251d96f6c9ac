"""What is kept of one side of a comparison in place of all its rows."""
