"""The webhook channel: each message is one HTTP POST of JSON, in the format of `message_document`.

An answer 2xx means that the message was accepted. 400, 406, 413, 414, 415 and 422 are about the message and refuse it
for good. Any other 4xx except 408, 425 and 429, and a redirect, may be repaired by the server's owner, and are final at
the third attempt. After any other answer the message is tried again; `Retry-After` is respected.

Redirects are never followed: the message and its headers are for the server that the spec names.
"""

import http.client
import re
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from engine import __version__
from engine.errors import DeliveryError, UnreachableError
from engine.formatting.control_characters import single_line
from engine.notifications.envelope import (
    CONTENT_CODES,
    PASSING_CODES,
    PATIENCE,
    DelayedError,
    Envelope,
    RefusedError,
)
from engine.notifications.message_document import describe_message
from engine.spec.resources.channels import WebhookChannel
from engine.spec.urls.webhook_url import find_header_problem, find_webhook_problem

MAX_ANSWER_BYTES = 2000
"""Bytes of an answer that are read; the first are quoted if the message was refused."""
ANSWER_SECONDS = 2.0
"""How long the body of an answer is read: one that comes byte by byte must not hide how the server has answered."""
QUOTED_CHARACTERS = 300
"""Characters of an answer that an error message quotes."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Return None, so that a redirect becomes an HTTPError."""


class _OpenedConnections(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    """Opens connections that another thread can close during the wait for an answer."""

    def __init__(self, cuts: list[Callable[[], None]]) -> None:
        super().__init__()
        self._cuts = cuts

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._make_opener(http.client.HTTPConnection), request)

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._make_opener(http.client.HTTPSConnection), request)

    def _make_opener(self, kind: type[http.client.HTTPConnection]) -> Callable[..., http.client.HTTPConnection]:
        def open_connection(*args: Any, **options: Any) -> http.client.HTTPConnection:
            connection = kind(*args, **options)
            connect = connection.connect

            def connect_and_remember() -> None:
                connect()
                opened = connection.sock  # the connection forgets it while the answer is still read
                self._cuts.append(lambda: opened.shutdown(socket.SHUT_RDWR))

            connection.connect = connect_and_remember  # type: ignore[method-assign]  # of this connection alone
            return connection

        return open_connection


def send(channel: WebhookChannel, post: Envelope) -> None:
    """Post a message.

    Raises
    ------
    RefusedError
        The server has refused the message.
    UnreachableError
        The server cannot be reached, or the URL or a header is wrong.
    DeliveryError
        The server did not accept the message, but may accept it later.
    """
    problems = [
        find_webhook_problem(post.url),
        *(find_header_problem(name, value) for name, value in post.headers.items()),
    ]
    for problem in filter(None, problems):
        raise UnreachableError(problem)
    request = urllib.request.Request(  # noqa: S310  (the scheme was checked)
        post.url,
        data=describe_message(post).model_dump_json().encode("utf-8", "replace"),
        headers={
            "Content-Type": "application/json",
            "User-Agent": f"engine/{__version__}",
            "Idempotency-Key": post.message.id,
            **post.headers,
        },
        method="POST",
    )
    host = urlsplit(post.url).hostname
    try:
        opener = urllib.request.build_opener(_NoRedirect, _OpenedConnections(post.cuts))
        with opener.open(request, timeout=channel.timeout) as answer:
            _read_beginning(answer)  # the message was taken, whatever becomes of the rest of the answer
    except urllib.error.HTTPError as error:
        with error:
            _raise_answer(error, str(host), post)
    except TimeoutError:
        raise UnreachableError(f"{host} did not answer in {channel.timeout:g} s") from None
    except urllib.error.URLError as error:
        timed_out = isinstance(error.reason, TimeoutError)
        words = f"it did not answer in {channel.timeout:g} s" if timed_out else str(error.reason)
        raise UnreachableError(f"{host} cannot be reached: {words}") from None
    except (OSError, http.client.HTTPException) as error:
        words = single_line(str(error) or type(error).__name__)
        raise UnreachableError(f"{host} closed the connection: {words}") from None


def _raise_answer(answer: urllib.error.HTTPError, host: str, post: Envelope) -> None:
    """Raise the error for an answer other than 2xx, which quotes its first words."""
    said = single_line(_read_beginning(answer).decode("utf-8", "replace").strip(), QUOTED_CHARACTERS)
    words = f"{host} answered {answer.code} {single_line(str(answer.reason), 100)}".rstrip() + (
        f": {said}" if said else ""
    )
    if 300 <= answer.code < 400:
        target = urlsplit(answer.headers.get("Location") or "").hostname
        words += f" (redirects{f' to {target}' if target else ''} are not followed: write the final address as url)"
    if answer.code < 500 and answer.code not in PASSING_CODES:
        final = answer.code in CONTENT_CODES or post.message.refusals + 1 >= PATIENCE
        raise RefusedError(words, {host: words} if final else {}, complete=final, counted=0 if final else 1)
    wait = re.fullmatch(r"\s*([0-9]{1,6})\s*", answer.headers.get("Retry-After") or "")
    if wait:
        raise DelayedError(words, float(wait[1]))
    raise DeliveryError(words)


def _read_beginning(answer: http.client.HTTPResponse | urllib.error.HTTPError) -> bytes:
    """Return the first `MAX_ANSWER_BYTES` of a body, or what of it has come in `ANSWER_SECONDS`."""
    raw, until = b"", time.monotonic() + ANSWER_SECONDS
    with suppress(OSError, http.client.HTTPException):
        while len(raw) < MAX_ANSWER_BYTES and time.monotonic() < until:
            part = answer.read1(MAX_ANSWER_BYTES - len(raw))
            if not part:
                break
            raw += part
    return raw


def describe(_channel: WebhookChannel, url: str) -> str:
    """Return where messages go: the server alone, because the path of a webhook is often its key."""
    parts = urlsplit(url)
    return f"POST to {parts.scheme}://{parts.hostname}"
