"""Rows written to files: exports, rows that are kept or frozen, and CSV that spreadsheets open."""
