"""The database of a state, an SQLite file or a schema in PostgreSQL: access, errors, and ownership by a folder."""
