"""Performance estimates for rows with no labels or few, from expected outcomes that are learned from a reference."""
