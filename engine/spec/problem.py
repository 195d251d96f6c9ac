"""A problem inside one text of the spec (a metric name, a run condition, SQL), and suggestions for misspelt words.

A problem has an offset in its text only. The loader knows the position of the text in the file, and turns both into a
`Diagnostic`. Parsers return problems instead of raising them, because an exception could report only the first.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import NamedTuple


class Problem(NamedTuple):
    """A problem at `offset`, with `length`, both in characters of the text; `code` is one of `DIAGNOSTIC_CODES`."""

    offset: int
    length: int
    code: str
    message: str
    help: str | None = None


def find_similar_word(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is most similar to a misspelt one, or None if none is similar."""
    folded = {_fold_case(k): k for k in known}
    close = get_close_matches(_fold_case(word)[:100], folded, n=1, cutoff=0.6)
    return folded[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str], otherwise: str) -> str:
    """Return a hint for an unknown word: the most similar known word, or else `otherwise` and all known words."""
    known = list(known)
    close = find_similar_word(word, known)
    if close is not None:
        return f'did you mean "{close}"?'
    return f"{otherwise} {', '.join(known)}" if known else f"{otherwise} none"


def _fold_case(word: str) -> str:
    return word.casefold().replace("-", "_").replace(" ", "_")
