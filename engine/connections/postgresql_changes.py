"""Detects changes of a PostgreSQL table, first by row counters and then by the content.

The server counts inserted, updated and deleted rows. The counters may be a second late and include transactions that
were rolled back, so they only show when to read the content. Some tables have no counters: views, foreign tables, all
tables of a standby server, and of a server with `track_counts` off.
"""

from engine.connections.database_errors import DatabaseError
from engine.connections.postgresql import PostgresqlSession
from engine.connections.table_names import quote_name, quote_text, split_table_name

_MARKER = """
WITH root AS (SELECT to_regclass({table}) AS oid),
leaves AS (
  SELECT c.* FROM pg_class c, root WHERE c.oid = root.oid AND c.relkind <> 'p'
  UNION ALL
  SELECT c.* FROM root, pg_partition_tree(root.oid) t JOIN pg_class c ON c.oid = t.relid
  WHERE t.isleaf AND c.oid <> root.oid
)
SELECT root.oid IS NOT NULL,
  current_setting('track_counts') = 'on' AND NOT pg_is_in_recovery()
    AND coalesce((SELECT bool_and(relkind IN ('r', 'm') AND NOT relhassubclass) FROM leaves), true),
  (SELECT string_agg(concat_ws(' ', l.oid, pg_relation_filenode(l.oid), s.n_tup_ins, s.n_tup_upd, s.n_tup_del), ', '
    ORDER BY l.oid) FROM leaves l LEFT JOIN pg_stat_all_tables s ON s.relid = l.oid),
  (SELECT string_agg(concat_ws(' ', attname, atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute
    WHERE attrelid = root.oid AND attnum > 0 AND NOT attisdropped)
FROM root
"""


def find_table_marker(session: PostgresqlSession, table: str) -> tuple[str, str | None]:
    """Return the columns of a table as text, and a text that differs if its rows may have changed.

    The second is None if only the content shows changes.

    Raises
    ------
    DatabaseError
        The table does not exist, or the query fails.
    """
    ((exists, counted, counts, columns),) = session.fetch_rows(_MARKER.format(table=quote_text(_quote_table(table))))
    if not exists:
        raise DatabaseError(f"{session.place}: there is no table {table!r}")
    return columns or "", (counts or "no rows") if counted else None


def digest_table(session: PostgresqlSession, table: str) -> str:
    """Return a digest of the rows of a table that ignores their order; the server reads all of them.

    Raises
    ------
    DatabaseError
        The table cannot be read.
    """
    query = f"SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::text FROM {_quote_table(table)} t"  # noqa: S608 - quoted
    ((rows, total),) = session.fetch_rows(query)
    return f"{rows} {total}"


def _quote_table(table: str) -> str:
    parts = split_table_name(table)
    if parts is None:
        raise DatabaseError(f"{table!r} is not the name of a table: write name, or schema.name")
    return quote_name(*parts)
