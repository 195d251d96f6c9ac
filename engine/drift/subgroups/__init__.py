"""Search for the groups of rows that have drifted most, described by one or two conditions on columns."""
