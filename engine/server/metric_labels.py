"""The labels of metrics, which are names of users."""

from engine.digests import digest_texts
from engine.formatting.control_characters import single_line

LONGEST_LABEL = 200


def shorten_label(text: str) -> str:
    """Return a label on one line; a longer one than LONGEST_LABEL is cut and gets a digest of the whole text."""
    line = single_line(text)
    return line if len(line) <= LONGEST_LABEL else f"{line[:LONGEST_LABEL]}…{digest_texts(text)[:8]}"
