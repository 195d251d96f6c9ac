"""The labels of metrics, which are names of users."""

from engine.digests import digest_texts
from engine.formatting.control_characters import single_line

LONGEST_LABEL = 200


def shorten_label(text: str) -> str:
    """Return a label of bounded length, on one line; what is cut off is told apart by a digest."""
    line = single_line(text)
    return line if len(line) <= LONGEST_LABEL else f"{line[:LONGEST_LABEL]}…{digest_texts(text)[:8]}"
