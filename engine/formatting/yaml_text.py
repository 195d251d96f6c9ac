"""Texts as YAML scalars that are read back unchanged, whatever characters they contain."""

import re

_PLAIN_SCALAR = re.compile(r"(\.\.?/)*[A-Za-z_][A-Za-z0-9_./-]*")
_RESERVED_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def is_plain_scalar(text: str) -> bool:
    """Return whether a text without quotes is read back unchanged."""
    return _PLAIN_SCALAR.fullmatch(text) is not None and text.lower() not in _RESERVED_WORDS


def quote_scalar(text: str) -> str:
    """Return a text in YAML double quotes."""
    return '"' + "".join(map(escape_character, text)) + '"'


def escape_character(character: str) -> str:
    """Return a character escaped for YAML double quotes."""
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"
