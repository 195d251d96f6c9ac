"""Samples in a Spark cluster: the executors read their rows into the same accumulators that are used on one machine.

A pass sends empty accumulators to the partitions. Each returns what it collected as arrays, which executors merge
column by column in the order of the partitions; the driver gets one state per column. All counts, and everything
computed from them, are identical for any partitioning. Sums of columns with too many values to be exact are added in
the order of the partitions, and agree to 1e-12 of their size.

pyspark is imported only by a caller that provides a Spark DataFrame.
"""

import os

if os.environ.get("SPARK_PYTHON_RUNTIME") == "PYTHON_WORKER":
    # an executor has one process per core; polars reads this variable when it is imported
    os.environ.setdefault("POLARS_MAX_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
