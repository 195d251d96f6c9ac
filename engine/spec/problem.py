"""A problem inside one text of the spec: a metric name, a run condition, SQL.

A problem has an offset in its text only. The loader knows the position of the text in the file, and turns both into a
`Diagnostic`. Parsers return problems instead of raising them, because an exception could report only the first.
"""

from typing import NamedTuple


class Problem(NamedTuple):
    """A problem at `offset`, with `length`, both in characters of the text; `code` is one of `DIAGNOSTIC_CODES`."""

    offset: int
    length: int
    code: str
    message: str
    help: str | None = None
