"""Database tables, read into files so that every later read is cheap and sees the same rows."""
