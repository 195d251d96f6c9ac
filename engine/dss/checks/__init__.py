"""Import the checks and data quality rules of a project as checks, contracts and queries, and report mistakes in them."""
