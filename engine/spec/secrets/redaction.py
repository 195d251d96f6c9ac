"""Masks secret values in texts, in plain form and in the encodings of other programs.

A mail server quotes a login in base64, a library quotes a URL with percent signs, a page escapes quotation marks. Every
spelling is derived from the value, so nothing has to be guessed from the text.
"""

import binascii
import json
import re
import shlex
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit

from engine.errors import SpecError
from engine.spec.project_yaml import MASK

MIN_REDACTED_LENGTH = 4
"""Shorter values are not masked: they would make other texts unreadable, and are not secret anyway."""
MIN_LINE_LENGTH = 16
"""The shortest line of a value that is masked separately."""
MIN_CUT_LENGTH = 6
"""The shortest beginning of a value that is masked where a text was cut off inside the value."""

Redact = Callable[[str], str]


class Redactor:
    """Masks the values that were added to it."""

    def __init__(self) -> None:
        self._literals: set[str] = set()
        self._base64: set[str] = set()
        self._whole = self._cut = re.compile("(?!)")

    def add(self, value: str) -> None:
        """Add a value, its lines, and the parts of a URL: a server may quote the password alone."""
        for part in _list_parts(value):
            if len(part) >= MIN_REDACTED_LENGTH:
                self._literals.update(_list_literal_spellings(part))
                self._base64.update(_list_base64_spellings(part.encode("utf-8", "surrogatepass")))
        # Longest first: otherwise a part would be masked inside a longer value, and leave the rest of it readable.
        literals = [re.escape(text) for text in sorted(self._literals, key=len, reverse=True)]
        # Characters next to those that depend only on the value also contain some of its bits.
        encoded = [rf"[\w+/-]?{re.escape(text)}[\w+/-]?=*" for text in sorted(self._base64, key=len, reverse=True)]
        self._whole = re.compile("|".join(literals + encoded) or "(?!)", re.ASCII)
        heads = sorted({re.escape(text[:MIN_CUT_LENGTH]) for text in self._spellings() if len(text) > MIN_CUT_LENGTH})
        self._cut = re.compile(rf"(?:{'|'.join(heads)})[^\n]*" if heads else "(?!)")

    def redact(self, text: str) -> str:
        """Return a text with all values masked, also the beginning of a value where a line ends inside it."""
        return self._cut.sub(self._mask_cut_value, self._whole.sub(MASK, text)) if self._literals else text

    def _spellings(self) -> Iterator[str]:
        yield from self._literals
        yield from self._base64

    def _mask_cut_value(self, found: re.Match[str]) -> str:
        """Mask the last value that the end of a line cuts off, if there is one."""
        line: str = found[0]
        kept = re.sub(r"(?:…|\.\.\.)?[\s\"')\]}>]*$", "", line)
        for start in range(len(kept) - MIN_CUT_LENGTH + 1):
            if any(text.startswith(kept[start:]) for text in self._spellings()):
                return line[:start] + MASK + line[len(kept) :]
        return line


class SecretSearch:
    """Finds the values of secrets in bytes and in texts, as they are and in the spellings that `Redactor` knows.

    Parameters
    ----------
    values
        The values, by the names of the secrets.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self.spellings = {
            name: sorted({spelt for part in _list_hidden_parts(value) for spelt in _list_spellings(part)})
            for name, value in values.items()
        }
        self._patterns = {
            name: re.compile(b"|".join(re.escape(one.encode("utf-8", "surrogatepass")) for one in spellings))
            for name, spellings in self.spellings.items()
            if spellings
        }
        self.longest = max((len(one.encode("utf-8", "surrogatepass")) for one in self.list_texts()), default=0)

    def list_texts(self) -> list[str]:
        """Return all spellings of all values."""
        return [one for spellings in self.spellings.values() for one in spellings]

    def find_name(self, content: bytes) -> str | None:
        """Return the name of the first secret whose value the bytes contain, or None."""
        return next((name for name, pattern in self._patterns.items() if pattern.search(content)), None)


def _list_hidden_parts(value: str) -> set[str]:
    """Return the parts of a value to mask: all of it, its long lines, and the secret part of a URL."""
    lines = {line for line in value.splitlines() if len(line) >= MIN_LINE_LENGTH and not line.startswith("-----")}
    parts = {value, value.strip(), *lines}
    try:
        url = urlsplit(value)
        parts |= {url.password or "", unquote(url.password or "")}
        if url.scheme in ("http", "https") and len(url.path) >= MIN_LINE_LENGTH:
            parts.add(url.path.strip("/"))
    except ValueError:
        pass  # the value is not a URL
    return {part for part in parts if len(part) >= MIN_REDACTED_LENGTH}


def _list_spellings(part: str) -> Iterator[str]:
    yield from _list_literal_spellings(part)
    yield from _list_base64_spellings(part.encode("utf-8", "surrogatepass"))


def redact_values(value: Any, redact: Redact) -> Any:
    """Return JSON data with all texts masked, including keys."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [redact_values(each, redact) for each in value]
    if isinstance(value, dict):
        # the numbers of a wide evaluation are many: for them there is no call
        return {
            redact_values(key, redact): each if isinstance(each, float) else redact_values(each, redact)
            for key, each in value.items()
        }
    return value


def redact_exception(error: BaseException, redact: Redact) -> None:
    """Mask the texts of an exception and of those that led to it, so that its message and traceback may be shown.

    A cause whose text cannot be changed is removed.
    """
    _redact_arguments(error, redact)
    for cause in (error.__cause__, error.__context__):
        if cause is not None:
            redact_exception(cause, redact)
            if redact(str(cause)) != str(cause):
                error.__cause__ = error.__context__ = None


def _redact_arguments(error: BaseException, redact: Redact) -> None:
    error.args = tuple(redact(argument) if isinstance(argument, str) else argument for argument in error.args)
    if isinstance(error, SpecError):
        error.diagnostics = tuple(
            replace(found, message=redact(found.message), help=found.help and redact(found.help))
            for found in error.diagnostics
        )
    if notes := getattr(error, "__notes__", None):
        notes[:] = map(redact, notes)


def _list_parts(value: str) -> set[str]:
    parts = {value, *value.splitlines()}
    try:
        url = urlsplit(value)
        parts |= {url.username or "", url.password or "", url.netloc.rpartition("@")[0]}
        if url.scheme in ("http", "https"):
            parts.add(url.path.strip("/"))  # the path of a webhook is its key
    except ValueError:
        pass  # the value is not a URL
    return {*parts, *map(unquote, parts)}


def _list_literal_spellings(part: str) -> Iterator[str]:
    """Yield the spellings of a value that contain the value's characters one after the other, each in some code."""
    raw = part.encode("utf-8", "surrogatepass")
    for quoted in (quote(raw), quote(raw, safe=""), quote_plus(raw)):
        yield quoted
        yield re.sub("%[0-9A-F]{2}", lambda code: code[0].lower(), quoted)
    from html import escape  # not for a project without secrets: the table of all names of characters is large

    escaped = escape(part)
    yield from (
        part,
        escape(part, quote=False),
        escaped,
        escaped.replace("&#x27;", "&#39;").replace("&quot;", "&#34;"),
    )
    yield from (json.dumps(part)[1:-1], json.dumps(part, ensure_ascii=False)[1:-1])
    yield from (repr(part)[1:-1], ascii(part)[1:-1], repr(raw)[2:-1], part.replace("\\", "\\\\"))
    yield from (part.replace("'", "''"), part.replace('"', '""'), shlex.quote(part))
    yield binascii.b2a_qp(raw).decode("ascii")
    yield from (raw.hex(), raw.hex().upper())
    yield raw.decode("latin-1")  # UTF-8 that was read as another encoding
    if len(joined := " ".join(part.split())) >= MIN_REDACTED_LENGTH:
        yield joined  # a reply that was put on one line


def _list_base64_spellings(raw: bytes) -> Iterator[str]:
    """Yield the base64 characters that depend only on the value, for each alignment in the encoded text.

    Base64 writes 3 bytes as 4 characters, so the text before the value decides its alignment.
    """
    for before in range(3):
        encoded = b64encode(bytes(before) + raw + bytes(-(before + len(raw)) % 3)).decode("ascii")
        first, last = -(-8 * before // 6), 8 * (before + len(raw)) // 6
        if last - first >= MIN_REDACTED_LENGTH:
            yield encoded[first:last]
            yield encoded[first:last].replace("+", "-").replace("/", "_")
