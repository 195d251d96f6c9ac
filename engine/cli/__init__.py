"""The command line: one module a verb."""

import gc

gc.set_threshold(100_000)  # a quarter of start-up was collecting garbage among what imports had just made
