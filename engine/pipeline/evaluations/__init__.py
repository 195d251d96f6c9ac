"""From a batch to its stored evaluation: its inputs, its measurement, its challenger, other references."""
