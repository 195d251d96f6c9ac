"""Performance of a model on the rows of a side: measured with known labels, estimated without."""
