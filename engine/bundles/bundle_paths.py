"""Rules for paths inside a bundle: which ones are allowed, and which collide.

The rules apply to writing and reading. They keep an extraction inside its folder on any file system, including those
that ignore case or normalize accented letters.
"""

import re
import unicodedata
from collections.abc import Iterable

MOST_PATH_BYTES = 1024
MOST_NAME_BYTES = 255
MOST_DEPTH = 32

_CONTROLS = {"Cc", "Cs", "Zl", "Zp"}
"""Unicode categories that are not allowed in paths: control characters, surrogates, line separators."""


def find_path_problem(path: str) -> str | None:
    """Return why a path is not allowed inside a bundle; None if it is allowed."""
    parts = path.split("/")
    if not path:
        return "the path is empty"
    if any(unicodedata.category(character) in _CONTROLS for character in path):
        return "the path has a control character"
    if path.startswith("/") or re.match(r"[A-Za-z]:", path):
        return "the path is absolute"
    if "\\" in path:
        return "the path has a backslash"
    if not {"", ".", ".."}.isdisjoint(parts):
        return 'the path has an empty part, "." or ".."'
    if len(path.encode()) > MOST_PATH_BYTES or any(len(part.encode()) > MOST_NAME_BYTES for part in parts):
        return f"the path is longer than {MOST_PATH_BYTES} bytes, or a name in it than {MOST_NAME_BYTES}"
    if len(parts) > MOST_DEPTH:
        return f"the path is deeper than {MOST_DEPTH} folders"
    return None


def find_collision(paths: Iterable[str]) -> tuple[str, str] | None:
    """Return two colliding paths: equal except for case or accents, or a file that is also a folder; else None.

    Folders with different spelling collide too, because file systems that ignore case merge them.
    """
    known: dict[str, tuple[str, bool]] = {}
    whole: dict[str, str] = {}
    for path in paths:
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            prefix, is_file = "/".join(parts[:depth]), depth == len(parts)
            key = _fold(prefix)
            if key in known and (is_file or known[key] != (prefix, False)):
                return whole[key], path
            known[key] = (prefix, is_file)
            whole.setdefault(key, path)
    return None


def _fold(path: str) -> str:
    """Return a path with normalized case and Unicode composition."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
