"""Bounds the answers that requests and urllib3 read, which is what most services of apprise use.

Requests keeps a whole answer in memory, and apprise leaves no choice: an answer without end would fill it. Neither has
a setting for this, and each message opens connections of its own. So urllib3 gets another class for its answers, a
class attribute of `http.client`. It changes nothing outside of `bound_answers`.
"""

import io
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from typing import Any

MAX_ANSWER_BYTES = 1 << 20
"""Number of bytes of an answer, as they are sent, after which it counts as ended."""

_bounded = threading.local()


@contextmanager
def bound_answers() -> Iterator[None]:
    """Let answers that urllib3 reads in this thread end after `MAX_ANSWER_BYTES`."""
    from urllib3.connection import HTTPConnection

    HTTPConnection.response_class = _BoundedResponse
    _bounded.here = True
    try:
        yield
    finally:
        _bounded.here = False


class _BoundedResponse(HTTPResponse):
    def __init__(self, sock: socket.socket, *arguments: Any, **settings: Any) -> None:
        super().__init__(sock, *arguments, **settings)
        if getattr(_bounded, "here", False):
            self.fp = io.BufferedReader(_FirstBytes(self.fp))


class _FirstBytes(io.RawIOBase):
    """The first bytes of a stream; after them, it has ended."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self._stream, self._left = stream, MAX_ANSWER_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        read = self._stream.readinto1(memoryview(buffer)[: self._left])
        self._left -= read
        return read

    def close(self) -> None:
        self._stream.close()
        super().close()
