"""Text streams that mask secrets in everything written to them, before it reaches a terminal or a pipe."""

import sys
from collections.abc import Callable
from typing import Any, TextIO


class RedactedStream:
    """A text stream that passes everything through `redact` and writes it to another stream.

    Text is kept until its line ends or the stream is flushed, so that a value written in pieces is found. All other
    attributes, such as the encoding or whether it is a terminal, are those of the other stream.
    """

    def __init__(self, stream: TextIO, redact: Callable[[str], str]) -> None:
        self._stream = stream
        self._kept = ""
        self.redact = redact

    def write(self, text: str) -> int:
        """Write text; the part after the last line break waits for the rest of its line."""
        lines, newline, rest = (self._kept + text).rpartition("\n")
        if newline:
            self._stream.write(self.redact(lines) + newline)
        self._kept = rest
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def write_redacted(self, text: str) -> None:
        """Write text that has been masked already."""
        self.flush()
        self._stream.write(text)

    def flush(self) -> None:
        """Write the kept text, and flush the other stream."""
        kept, self._kept = self._kept, ""
        if kept:
            self._stream.write(self.redact(kept))
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def redact_standard_streams(redact: Callable[[str], str]) -> None:
    """Pass everything that this process prints from now on through `redact`."""
    out: Any = RedactedStream(sys.stdout, redact)
    err: Any = RedactedStream(sys.stderr, redact)
    sys.stdout, sys.stderr = out, err
