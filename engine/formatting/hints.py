"""Hints for a name that does not exist: the most similar existing name, or else a list of the names."""

from collections.abc import Iterable, Sequence

from engine.formatting.lists import join_some


def find_similar(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known word most similar to `word`, or None; ignores case, hyphens, underscores and spaces.

    `cutoff` is the minimum similarity, from 0 to 1, as defined by difflib.
    """
    from difflib import get_close_matches

    by_folded = {_fold_case(name): name for name in known}
    similar = get_close_matches(_fold_case(word)[:100], by_folded, n=1, cutoff=cutoff)
    return by_folded[similar[0]] if similar else None


def did_you_mean(word: str, known: Iterable[str], alternative: str) -> str:
    """Return `did you mean "x"?`, or `alternative` followed by the known words if none is similar."""
    names = list(known)
    similar = find_similar(word, names)
    if similar is not None:
        return f'did you mean "{similar}"?'
    if len(names) == 1 and alternative.endswith(" are"):
        return f"there is only {names[0]}"
    return f"{alternative} {', '.join(names) or 'none'}"


def suggest_name(name: str, known: Sequence[str]) -> str:
    """Return the end of a message about an unknown name: `; did you mean 'x'?`, or else up to ten known names."""
    if similar := find_similar(name, known):
        return f"; did you mean {similar!r}?"
    if len(known) == 1:
        return f"; there is only {known[0]!r}"
    return f"; there are {join_some(map(repr, known)) or 'none'}"


def _fold_case(word: str) -> str:
    return word.casefold().replace("-", "_").replace(" ", "_")
