"""Lines such as `confidence 0.95`, `confidence:0.95` or `x {type: number}`: a colon, or the space after it, is missing.

YAML reads them as texts or as keys, and notices something only later, so that its own errors name the wrong place.
"""

import re
from collections.abc import Collection


def split_where_colon_is_missing(text: str) -> tuple[str, str]:
    """Return what was probably meant as the key of a text, and the rest."""
    bracket = re.fullmatch(r"([^:{\[]*?[^:{\[\s])\s+([{\[].*)", text)
    joined = re.fullmatch(r"([^:{\[\s]+):(?!//)(\S.*)", text)
    spaced = re.fullmatch(r"(\S+)\s+(.*)", text)
    found = bracket or joined or spaced
    return (found[1], found[2]) if found else (text, "")


def suggest_colon(text: str, keys: Collection[str]) -> tuple[str, str] | None:
    """Return the key, one of these, that a text begins with, and the help that writes its colon; None without one."""
    key, rest = split_where_colon_is_missing(text)
    return (key, f"a colon is missing: write {key}: {rest[:60]}".rstrip()) if key in keys and rest else None


def find_missing_colon(text: str, at: int) -> tuple[int, str] | None:
    """Return the start of the line whose colon is missing, and what to write; None if no colon is.

    `at` is where YAML noticed it: in that line itself, or at the colon of the next line, which cannot belong to a key.
    """
    start = text.rfind("\n", 0, at) + 1
    before = text[start:at]
    if ":" not in before.replace("://", "") and at > start + _measure_key_column(before):
        start = text.rfind("\n", 0, len(text[:start].rstrip())) + 1
    line, *rest = text[start:].splitlines() or [""]
    indentation = _measure_key_column(line)
    line = line[indentation:].rstrip()
    following = next((other for other in rest if other.strip()), "")
    if not line or line[0] in "#'\"":
        return None
    if not re.search(r":(\s|$)", line):
        written = len(following) - len(following.lstrip())
        deeper = written > indentation or (written == indentation and following.startswith("- ", written))
        key, value = (line, "") if deeper else split_where_colon_is_missing(line)
    elif re.match(r"[^:]* \{", line):
        key, value = split_where_colon_is_missing(line)
    else:
        return None
    return start + indentation, f"write {key[:60]}: {value[:60]}".rstrip()


def _measure_key_column(line: str) -> int:
    """Return the column where a line's text begins, behind the `-` of a list's item."""
    found = re.match(r"\s*(?:- +)*", line)
    return found.end() if found else 0
