"""Widens the results of functions that polars computes in small or unsigned types.

`LENGTH(name) - 5` is 4,294,967,293 for a name of two letters, because the length is a UInt32, and
`EXTRACT(DAY FROM d) * 10` is 44 on the 30th, an Int8. Adding a 64-bit 0 gives a whole number 64 bits and leaves a float
a float, as the seconds since 1970 are; a CAST would cut those. The change is made in the text, because sqlglot's
generated SQL can mean something else in polars.
"""

import re

from engine.spec.sql.parsing import SQL_LEXEME

_NARROW_CALL = re.compile(
    r"""(?: (?:CHAR_|CHARACTER_|OCTET_|BIT_|ARRAY_)?LENGTH | STRPOS | POSITION | BIT_COUNT
          | YEAR | QUARTER | MONTH | WEEK | DAY(?:OFWEEK|OFYEAR)? | HOUR | MINUTE | SECOND
          | (?:EXTRACT|DATE_PART)(?!\s*\(\s*'?TIME)  # a time of day is no number
        )\s*\(""",
    re.IGNORECASE | re.VERBOSE,
)


def widen_functions(sql: str) -> str:
    """Return a query, with its variables inserted, in which these functions return 64-bit numbers."""
    parts: list[str] = []
    are_narrow: list[bool] = []  # of each open parenthesis, whether it is that of such a function
    is_narrow = False
    for lexeme in SQL_LEXEME.finditer(sql):
        text = lexeme.group()
        if lexeme.lastgroup == "word" and _NARROW_CALL.match(sql, lexeme.start()):
            parts.append("(")
            is_narrow = True
        parts.append(text)
        if text == "(":
            are_narrow.append(is_narrow)
            is_narrow = False
        elif text == ")" and are_narrow and are_narrow.pop():
            parts.append(" + CAST(0 AS BIGINT))")
    return "".join(parts)
