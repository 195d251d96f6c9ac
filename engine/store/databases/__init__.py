"""The database of a state: a file of SQLite, or a schema on a server of PostgreSQL; its errors, and whose it is."""
