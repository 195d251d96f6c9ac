"""Write rows to files: exports, kept or frozen rows, and CSV for spreadsheets."""
