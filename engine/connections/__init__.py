"""Connections to databases, with timeouts and with error messages in terms of the spec.

Nothing here loads a data library: rows are passed on as streams of Arrow batches.
"""
