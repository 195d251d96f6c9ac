"""Remove or escape control characters: text from a spec, a table or a server must not control a terminal."""

import re

# C0 and C1 controls except tab and line feed, line separators, and lone surrogates
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def escape_controls(text: str) -> str:
    r"""Return `text` on one line with control characters made visible, such as `\x1b`."""
    return "".join(c if c == " " or c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def remove_controls(text: str) -> str:
    """Return `text` with each control character replaced by a space; tabs and line ends stay."""
    return _CONTROL.sub(" ", text.replace("\r\n", "\n"))


def single_line(text: str, limit: int | None = None) -> str:
    """Return `text` on one line without control characters, cut to `limit` characters."""
    line = " ".join(remove_controls(text).split())
    return line if limit is None or len(line) <= limit else line[: limit - 1] + "…"


def make_encodable(text: str) -> str:
    r"""Return `text` with each lone surrogate, which no encoding can write, as an escape such as `\udc80`.

    File names and environment variables that are not UTF-8 contain them, and so may any text of a user's function.
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
