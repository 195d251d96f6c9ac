"""Profiles of tables (a distribution per column, so that a table is read only once) and samples of rows."""
