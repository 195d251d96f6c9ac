"""The distribution of one column in memory of bounded size: sorted values, counts, or a grid of quantiles."""
