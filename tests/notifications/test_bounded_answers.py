"""A service of apprise whose answer never ends does not fill the memory; one that breaks off has still answered."""

import contextlib
import socket
import threading
import tracemalloc
import zlib
from collections.abc import Iterator

import pytest

from engine.errors import DeliveryError
from engine.notifications.envelope import RefusedError

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


ZEROS = zlib.compressobj(9, zlib.DEFLATED, 31)
BOMB = ZEROS.compress(bytes(64 << 20)) + ZEROS.flush(zlib.Z_FULL_FLUSH)  # 64 KiB


@pytest.mark.parametrize(
    ("head", "part"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", PLAIN),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", CHUNK),
        (b"HTTP/1.1 201 Created\r\nContent-Length: 1000000000000\r\n\r\n", PLAIN),
    ],
    ids=["without length", "in chunks", "of a length"],
)
def test_an_endless_answer_that_accepts_the_message_is_a_delivery(head: bytes, part: bytes) -> None:
    with serve(head, part) as service:
        send(service.url)
    assert service.sent < ENOUGH


@pytest.mark.parametrize(
    ("code", "type_"), [(500, DeliveryError), (503, DeliveryError), (404, RefusedError)], ids=["500", "503", "404"]
)
def test_an_endless_answer_that_does_not_accept_the_message_is_none(code: int, type_: type[Exception]) -> None:
    head = b"HTTP/1.1 %d Broken\r\nTransfer-Encoding: chunked\r\n\r\n" % code
    with serve(head, CHUNK) as service, pytest.raises(type_, match=str(code)):
        send(service.url)
    assert service.sent < ENOUGH


def test_a_compressed_answer_ends_by_what_is_decompressed() -> None:
    with serve(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", BOMB) as service:
        tracemalloc.start()
        send(service.url)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 32 << 20


class BrokenService:
    """A server that answers each request with the same bytes, and then closes or keeps the connection."""

    def __init__(self, answer: bytes, *, close: bool) -> None:
        self._answer, self._close, self.requests = answer, close, 0
        self._open: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"json://127.0.0.1:{self._listening.getsockname()[1]}/"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                connection.recv(1 << 16)
                self.requests += 1
                connection.sendall(self._answer)
                if self._close:
                    connection.close()
                else:
                    self._open.append(connection)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for connection in (*self._open, self._listening):
            connection.close()


@pytest.mark.parametrize(
    ("answer", "close"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", True),
        (b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nhalf", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot a length\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nhalf", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", False),
    ],
    ids=["of a length", "without body", "in chunks", "wrong chunk", "not compressed", "no end"],
)
def test_a_message_that_was_accepted_is_delivered_although_the_answer_breaks_off(answer: bytes, close: bool) -> None:
    with contextlib.closing(BrokenService(answer, close=close)) as service:
        send(f"{service.url}?rto=1")
    assert service.requests == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 100\r\n\r\nhalf", "error=502"),
        (b"HTTP/1.1 20", "Connection|connection"),
        (b"", "Connection|connection"),
    ],
    ids=["refused", "half a status", "nothing"],
)
def test_an_answer_that_accepts_nothing_before_it_breaks_off_is_tried_again(answer: bytes, words: str) -> None:
    with (
        contextlib.closing(BrokenService(answer, close=True)) as service,
        pytest.raises(DeliveryError, match=words),
    ):
        send(service.url)
