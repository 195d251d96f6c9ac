"""Text to a tree of nodes with positions: YAML 1.2 with its core types, and what is wrong with it."""
