"""Names of tables and columns in SQL."""

import re

_PART = r'(?:"(?:[^"]|"")+"|[^."]+)'
_TABLE = re.compile(rf"(?:(?P<schema>{_PART})\.)?(?P<name>{_PART})")


def split_table_name(table: str) -> tuple[str | None, str] | None:
    """Return the schema, or None, and the name of a table that is written `name` or `schema.name`.

    Names are case-sensitive: `Orders` is not `orders`. A name with a dot is put in double quotes, as in SQL. Return
    None if the text is not the name of a table.
    """
    found = _TABLE.fullmatch(table)
    if found is None:
        return None
    schema, name = found["schema"], found["name"]
    return None if schema is None else _unquote_part(schema), _unquote_part(name)


def quote_name(*parts: str | None) -> str:
    """Return a name in SQL, with each part in double quotes and without parts that are None."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts if part is not None)


def quote_text(text: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def _unquote_part(part: str) -> str:
    return part[1:-1].replace('""', '"') if part.startswith('"') else part
