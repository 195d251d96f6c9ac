"""Whether a table of PostgreSQL has changed: asked cheaply first, and by the content where that does not tell.

The server counts the rows that were inserted, updated and deleted. The counts may come a second late, and a transaction
that was undone counts too, so they only say when to look at the content. Some tables have no counts: views, foreign
tables, all tables of a standby server, and of a server that was told not to count.
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

    The second is None where only the content can tell.

    Raises
    ------
    DatabaseError
        There is no such table, or the server cannot be asked.
    """
    ((exists, counted, counts, columns),) = session.fetch_rows(_MARKER.format(table=quote_text(_quote_table(table))))
    if not exists:
        raise DatabaseError(f"{session.place}: there is no table {table!r}")
    return columns or "", (counts or "no rows") if counted else None


def digest_table(session: PostgresqlSession, table: str) -> str:
    """Return a text that differs if the rows of a table differ, whatever their order; the server reads them all.

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
