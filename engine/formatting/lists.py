"""Lists of names as part of a sentence."""

from collections.abc import Iterable


def join_words(words: Iterable[object], last: str = "and") -> str:
    """Return `a, b and c`; `last` is the word before the last item."""
    *first, end = [str(word) for word in words] or [""]
    return f"{', '.join(first)} {last} {end}" if first else end


def join_some(names: Iterable[object], most: int = 10) -> str:
    """Return `a, b, c`, or the first `most` names if there are more: `a, b and 12 more`."""
    texts = [str(name) for name in names]
    shown = ", ".join(texts[:most])
    return shown if len(texts) <= most else f"{shown} and {len(texts) - most:,} more"


def join_alternatives(words: Iterable[object], most: int = 20) -> str:
    """Return `a, b or c`, or the first `most` words if there are more: `a, b and 12 more`."""
    texts = [str(word) for word in words]
    return join_some(texts, most) if len(texts) > most else join_words(texts, "or")
