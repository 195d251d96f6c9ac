"""Performance of a model on the rows of a side, measured where labels are known and estimated where they are not."""
