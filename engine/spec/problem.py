"""A problem inside one text of the spec: a metric name, a run condition, SQL.

It knows its place in the text only. The loader knows the text's place in the file and makes a `Diagnostic` of both;
a parser that raised could report no more than its first problem.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import NamedTuple


class Problem(NamedTuple):
    """What is wrong, and where in the text: `offset` and `length` in characters; `code` is one of `CODES`."""

    offset: int
    length: int
    code: str
    message: str
    help: str | None = None


def suggest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that was most likely meant, None where none is near."""
    folded = {_fold(k): k for k in known}
    close = get_close_matches(_fold(word)[:100], folded, n=1, cutoff=0.6)
    return folded[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str], otherwise: str) -> str:
    """Return the help for a word that nobody knows: what was likely meant, or else what there is."""
    known = list(known)
    close = suggest(word, known)
    if close is not None:
        return f'did you mean "{close}"?'
    return f"{otherwise} {', '.join(known)}" if known else f"{otherwise} none"


def _fold(word: str) -> str:
    return word.casefold().replace("-", "_").replace(" ", "_")
