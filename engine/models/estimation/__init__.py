"""Performance without labels, or with few: what is to be expected of each row, learned from a reference."""
