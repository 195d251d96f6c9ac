"""Search for the groups of rows that drifted most, described by one or two conditions on columns."""
