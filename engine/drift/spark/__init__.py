"""Samples in a Spark cluster: the executors read their rows into the same accumulators as one machine does.

A pass sends the accumulators to the partitions, empty. What each has collected comes back as arrays, which executors
merge column by column in the order of the partitions; the driver gets one state per column. All counts, and what
follows from them, are the same for any partitioning, to the last bit. Sums of columns with too many values to be exact
are added in the order of the partitions, and agree to 1e-12 of their size.

pyspark is imported only by the caller who gives a DataFrame of it.
"""

import os

if os.environ.get("SPARK_PYTHON_RUNTIME") == "PYTHON_WORKER":
    # an executor has a process per core; polars reads this when it is imported
    os.environ.setdefault("POLARS_MAX_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
