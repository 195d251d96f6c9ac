"""Connections to databases: opened with a limit of time, with errors in the words of whoever declared them.

Nothing here loads a data library: rows are handed on as streams of Arrow batches.
"""
