"""Hints for a name that does not exist: the most similar one that does."""

from collections.abc import Iterable
from difflib import get_close_matches


def find_similar(word: str, known: Iterable[str]) -> str | None:
    """Return the known word most similar to `word`, or None. Case, hyphens, underscores and spaces do not count."""
    by_folded = {_fold_case(name): name for name in known}
    similar = get_close_matches(_fold_case(word)[:100], by_folded, n=1, cutoff=0.6)
    return by_folded[similar[0]] if similar else None


def did_you_mean(word: str, known: Iterable[str], alternative: str) -> str:
    """Return `did you mean "x"?`, or `alternative` followed by the known words if none is similar."""
    names = list(known)
    similar = find_similar(word, names)
    if similar is not None:
        return f'did you mean "{similar}"?'
    return f"{alternative} {', '.join(names) or 'none'}"


def _fold_case(word: str) -> str:
    return word.casefold().replace("-", "_").replace(" ", "_")
