"""Import the checks and data quality rules of a project as checks, contracts and queries; report mistakes in them."""
