"""Write a spec as YAML with comments on the source of each part and on what is left to do."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from engine.formatting.control_characters import single_line
from engine.formatting.yaml_text import is_plain_scalar, quote_scalar
from engine.spec.variables.references import escape_references, parse_iso_date

_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
"""Characters that YAML cannot represent even escaped; they are replaced by U+FFFD."""


class Part(dict[str, Any]):
    """A mapping of a spec, with the lines of the comment above it."""

    def __init__(self, source: str, values: Mapping[str, Any] | None = None) -> None:
        super().__init__(values or {})
        self.comments = [f"from {source}"] if source else []

    def add_todo(self, text: str) -> None:
        """Add to the comment what is left to do."""
        self.comments.append(f"TODO {text}")


class Template(str):
    """A text with variables `${…}`, which other texts would escape."""

    __slots__ = ()


class Day(str):
    """A date such as 2017-10-01, written without quotes."""

    __slots__ = ()


def format_spec(spec: Mapping[str, Any]) -> str:
    """Return a spec as YAML, without None values and empty sections."""
    lines: list[str] = []
    for section, value in spec.items():
        if value is None or value in ({}, []):
            continue
        lines += (
            ["", *_write_entry(section, value, "")] if isinstance(value, dict) else _write_entry(section, value, "")
        )
    return "\n".join(lines) + "\n"


def _write_mapping(values: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, value in values.items():
        if value is not None:
            yield from _write_entry(key, value, indent)


def _write_entry(key: str, value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, Part):
        yield from _write_comments(value, indent)
    start = f"{indent}{_quote_text(key)}:"
    if isinstance(value, dict):
        if _is_flat(value):
            yield f"{start} {_write_flow(value)}"
            return
        yield start
        yield from _write_mapping(value, indent + "  ")
    elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
        yield start
        for one in value:
            yield from _write_item(one, indent + "  ")
    elif isinstance(value, str) and "\n" in value.strip("\n") and (block := _write_block(value, indent + "  ")):
        yield from (f"{start} {block[0]}", *block[1:])
    else:
        yield f"{start} {_write_flow(value)}"


def _write_item(value: Mapping[str, Any], indent: str) -> Iterator[str]:
    if isinstance(value, Part):
        yield from _write_comments(value, indent)
    if _is_flat(value):
        yield f"{indent}- {_write_flow(value)}"
        return
    lines = list(_write_mapping(value, indent + "  "))
    yield f"{indent}- {lines[0].removeprefix(indent + '  ')}"
    yield from lines[1:]


def _is_flat(values: Mapping[str, Any]) -> bool:
    """Return whether a mapping fits on one line: it is short, without comments and multi-line texts."""
    inner = [value for value in values.values() if value is not None]
    if any(isinstance(value, Part) or (isinstance(value, str) and "\n" in value) for value in inner):
        return False
    if any(isinstance(value, dict) and not _is_flat(value) for value in inner):
        return False
    if any(isinstance(value, list) and any(isinstance(one, dict) for one in value) for value in inner):
        return False
    return len(_write_flow(values)) <= 100


def _write_flow(value: Any) -> str:
    if isinstance(value, dict):
        given = {key: one for key, one in value.items() if one is not None}
        return "{" + ", ".join(f"{_quote_text(key)}: {_write_flow(one)}" for key, one in given.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_write_flow, value)) + "]"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:.0f}" if float(value).is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, Day) and parse_iso_date(value):
        return str(value)
    text = value if isinstance(value, Template) else escape_references(value)
    return _quote_text(text)


def _quote_text(text: str) -> str:
    """Return a text as a scalar: words separated by single spaces need no quotes."""
    words = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*(?: [A-Za-z0-9_]+)+", text)
    return str(text) if words or is_plain_scalar(text) else quote_scalar(_NO_TEXT.sub("\ufffd", text))


def _write_block(text: str, indent: str) -> list[str] | None:
    """Return a text as a literal block, or None if a block would change it."""
    body = (text if isinstance(text, Template) else escape_references(text)).removesuffix("\n")
    lines = body.split("\n")
    plain = all(line == line.rstrip() and (line.isprintable()) for line in lines)
    if not plain or not lines[0] or lines[0] != lines[0].lstrip() or not lines[-1]:
        return None
    return ["|" if text.endswith("\n") else "|-", *(f"{indent}{line}" if line else "" for line in lines)]


def _write_comments(part: Part, indent: str) -> Iterator[str]:
    for comment in part.comments:
        yield f"{indent}# {single_line(comment)}"
