"""From the tree of a spec to its resources: keys, kinds and values are checked, with hints for common mistakes."""
