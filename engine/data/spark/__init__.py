"""Data of Spark: rows that are read into this process, and rows that stay with the executors."""
