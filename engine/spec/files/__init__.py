"""From the files of a spec to one tree, in which everything knows its position."""
