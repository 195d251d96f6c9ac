"""The command line: one module a verb."""

import gc

gc.set_threshold(500_000)  # a quarter of a short command was collecting garbage among what imports had just made
