"""Mistakes of an author that libyaml notices late, or as something else: what was probably done, and where.

Merge conflicts, characters that only look like spaces, indentation that no line above has, a dash without its space,
and quotes and brackets that are closed too late.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import yaml


class Mistake(NamedTuple):
    """What was probably done wrong: the span of characters, the message, and what to do."""

    start: int
    end: int
    message: str
    help: str


def find_likely_mistake(text: str, words: str, at: int, opened: int | None) -> Mistake | None:
    """Return the mistake that probably caused an error of libyaml; None if nothing is known better than its words.

    Parameters
    ----------
    words
        What libyaml says.
    at
        Where it noticed it.
    opened
        Where the list or mapping begins that it was reading then, if it says so.
    """
    if marks := re.search(r"^<{7}(?= |$)", text, re.MULTILINE):
        return Mistake(
            *marks.span(),
            "this is left over from a merge conflict",
            "choose one of the two sides, and remove the lines that begin with <<<<<<<, ======= and >>>>>>>",
        )
    line = text.rfind("\n", 0, at) + 1
    # One in the line before makes it a text that goes on here.
    if blank := re.compile(r"^ *([^\S\n\r\t ]|\u200b)", re.MULTILINE).search(
        text, text.rfind("\n", 0, max(0, line - 1)) + 1, at
    ):
        code = f"U+{ord(blank[1]):04X}"
        message = f"this line is indented with a character that only looks like a space ({code})"
        return Mistake(*blank.span(1), message, "indent with normal spaces")
    if not text[line:at].strip(" "):
        if dash := re.compile(r"-(?=[^\s-])").match(text, at):
            return Mistake(*dash.span(), "a space is missing after this -", "write a space after the - of a list entry")
        if re.search("did not find expected (key|'-')", words) and (lines := _describe_near_lines(text, line, at)):
            message = f"this line is indented by {at - line}, but no line above is"
            return Mistake(at, at + 1, message, f"indent this line by {lines}")
        if "did not find expected key" in words and text.startswith("- ", at):
            message = "this entry of a list is among the keys of a mapping"
            return Mistake(at, at + 1, message, "remove the -, or write the list as the value of a key")
    if "mapping values are not allowed" in words and ":" not in text[line:at]:
        return _find_surplus_indentation(text, line, at)
    if "did not find expected ',' or" in words:
        return _find_closed_late(text, at, opened)
    return None


def _find_surplus_indentation(text: str, line: int, at: int) -> Mistake | None:
    """Return the indentation of a line that YAML takes for more of the value above it; None if that has none."""
    above = text[:line].rstrip()
    start = above.rfind("\n") + 1
    found = re.fullmatch(r"((?: *- )? *)[^\s:#][^:#]*: +[^\s#|>&].*", above[start:])
    indentation = _count_spaces_before(text, line)
    if not found or indentation <= len(found[1]):
        return None
    message = "this line is indented more than the line above, which already has a value"
    help_ = f"indent it by {len(found[1])}, like line {above.count(chr(10)) + 1}"
    return Mistake(line + indentation, at, message, help_)


def _describe_near_lines(text: str, line: int, at: int) -> str | None:
    """Return the indentations of lines above nearest to one that is wrong: `4, like line 7, or by 2, like line 3`."""
    indentation = at - line
    deeper = less = ""
    for number, spaces, dash in _walk_up(text, line):
        if indentation in (spaces, dash):
            return None
        if spaces < indentation:
            less = f"{spaces}, like line {number}"
            break
        deeper = f"{spaces}, like line {number}"
    return ", or by ".join(filter(None, (deeper, less))) or None


def _walk_up(text: str, line: int) -> Iterator[tuple[int, int, int]]:
    """Yield the lines above one that enclose those after them: their number, and where their keys and dashes begin."""
    lines = text[:line].splitlines()
    least: int | None = None
    for number in range(len(lines), 0, -1):
        written = lines[number - 1]
        dash = len(written) - len(written.lstrip(" "))
        if written.strip() and not written.lstrip().startswith("#") and (least is None or dash < least):
            least = dash
            items = re.match(r" *(?:- +)*", written)
            yield number, items.end() if items else dash, dash


def _find_closed_late(text: str, at: int, opened: int | None) -> Mistake | None:
    """Return the quote before a place if it was closed in another line, or else the bracket around it if it was not."""
    if (quote := _find_quoted_before(text, at)) and "\n" in text[quote[0] : quote[1]]:
        number = text.count("\n", 0, quote[1]) + 1
        help_ = "add the closing quote where the text ends"
        return Mistake(quote[0], quote[0] + 1, f"this quote is not closed before line {number}", help_)
    if (
        opened is not None
        and "\n" in text[opened:at]
        and _count_spaces_before(text, at) <= _count_spaces_before(text, opened)
    ):
        return Mistake(
            opened, opened + 1, "this bracket is never closed", "add the closing bracket after the last entry"
        )
    return None


def _count_spaces_before(text: str, at: int) -> int:
    """Return the number of spaces at the start of the line of a place."""
    line = text[text.rfind("\n", 0, at) + 1 :]
    return len(line) - len(line.lstrip(" "))


def _find_quoted_before(text: str, at: int) -> tuple[int, int] | None:
    """Return the span of the quoted text that ends before a place with nothing but spaces between; None without one."""
    last = None
    with suppress(yaml.YAMLError):
        for token in yaml.scan(text[:at], Loader=yaml.CSafeLoader):
            if isinstance(token, yaml.ScalarToken) and token.style in ("'", '"'):
                last = (token.start_mark.index, token.end_mark.index)
    return last if last and not text[last[1] : at].strip() else None
