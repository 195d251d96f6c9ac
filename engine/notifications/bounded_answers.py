"""Bounds the answers that requests reads, which is what most services of apprise use, and accepts those cut off.

Requests keeps a whole answer in memory, and apprise leaves no choice: an answer without end would fill it. An answer
that breaks off in its body raises an error, and the message would be sent again, although its status has arrived and
says whether the service accepted it. Neither has a setting for this, and each message opens connections of its own. So
the method of requests that makes an answer is replaced. It changes nothing outside of `bound_answers`.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from requests import PreparedRequest, Response
    from urllib3 import HTTPResponse

MAX_ANSWER_BYTES = 1 << 20
"""Number of decompressed bytes of an answer after which it counts as ended."""

STEP_BYTES = 1 << 10
"""Bytes to read at once: few, since versions of urllib3 before 2.6 decompress all of them, to the thousandfold."""

_bounded = threading.local()


@contextmanager
def bound_answers() -> Iterator[None]:
    """Let answers that requests reads in this thread end after `MAX_ANSWER_BYTES`, or where they break off."""
    _bound_requests()
    _bounded.here = True
    try:
        yield
    finally:
        _bounded.here = False


@cache
def _bound_requests() -> None:
    from requests.adapters import HTTPAdapter

    build = HTTPAdapter.build_response

    def build_response(self: HTTPAdapter, req: "PreparedRequest", resp: Any) -> "Response":
        if getattr(_bounded, "here", False):
            resp.stream = partial(_stream_beginning, resp, resp.stream)
        return build(self, req, resp)

    HTTPAdapter.build_response = build_response  # type: ignore[method-assign]  # see above


def _stream_beginning(
    answer: "HTTPResponse", stream: Callable[..., Iterator[bytes]], *_: Any, **settings: Any
) -> Iterator[bytes]:
    """Yield the decompressed body of an answer in parts, up to the limit or the first error."""
    from urllib3.exceptions import HTTPError

    left = MAX_ANSWER_BYTES
    with suppress(HTTPError):
        for part in stream(STEP_BYTES, **settings):
            yield part[:left]
            left -= len(part)
            if left <= 0:
                answer.close()
                return
