"""Files and folders beside the database: hashes of files, and unfinished folders."""

from sqlalchemy import BigInteger, Column, String, Table

from engine.store.tables.columns import metadata

unfinished_folders = Table("unfinished_folders", metadata, Column("path", String, primary_key=True))

file_hashes = Table(
    "file_hashes",
    metadata,
    Column("path", String, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("hash", String, nullable=False),
    Column("inode", String),  # may be larger than the integers of a database
    Column("ctime_ns", BigInteger),  # null: the identity cannot be trusted
)
