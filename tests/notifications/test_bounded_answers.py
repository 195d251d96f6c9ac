"""A service of apprise whose answer never ends: it does not fill the memory."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from engine.errors import DeliveryError

from .test_apprise import send

ENOUGH = 100 << 20
"""Bytes that no buffer of the system and no bounded answer takes."""


class EndlessService:
    """A server that answers each request with a beginning, and then with the same part again and again."""

    def __init__(self, begin: bytes, part: bytes) -> None:
        self._begin, self._part = begin, part
        self.sent = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"json://127.0.0.1:{self._listening.getsockname()[1]}/"
        self._thread = threading.Thread(target=self._answer)
        self._thread.start()

    def _answer(self) -> None:
        connection, _ = self._listening.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(1 << 16)
            connection.sendall(self._begin)
            while self.sent < ENOUGH:
                connection.sendall(self._part)
                self.sent += len(self._part)

    def close(self) -> None:
        self._thread.join()
        self._listening.close()


@contextlib.contextmanager
def serve(begin: bytes, part: bytes) -> Iterator[EndlessService]:
    service = EndlessService(begin, part)
    try:
        yield service
    finally:
        service.close()


PLAIN = b"x" * (1 << 16)
CHUNK = b"10000\r\n" + PLAIN + b"\r\n"


def test_an_endless_answer_that_accepts_the_message_is_a_delivery() -> None:
    with serve(b"HTTP/1.1 200 OK\r\n\r\n", PLAIN) as service:
        send(service.url)
    assert service.sent < ENOUGH


@pytest.mark.parametrize(
    ("head", "part"),
    [
        (b"HTTP/1.1 500 Broken\r\n\r\n", PLAIN),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", CHUNK),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n", PLAIN),
    ],
    ids=["refused", "in chunks", "of a length"],
)
def test_a_message_whose_answer_is_refused_or_cut_off_is_tried_again(head: bytes, part: bytes) -> None:
    with serve(head, part) as service, pytest.raises(DeliveryError):
        send(service.url)
    assert service.sent < ENOUGH
