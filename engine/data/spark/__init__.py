"""Data of Spark: rows that are read into this machine, and rows that stay with the executors."""
