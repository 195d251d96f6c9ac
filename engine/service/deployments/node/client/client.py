"""The HTTP client for the API `/v1` of an automation node (`engine.server.node_api`).

Requests are retried if the connection fails, and after responses that ask to retry later. That is safe, because
changing requests have an Idempotency-Key, so the node executes them once. Redirects are refused, since the token is for
the node in the spec. The size of responses and the time to read them are bounded, and no error quotes the token.
"""

import re
import secrets
import ssl
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import httpx2
from pydantic import BaseModel, TypeAdapter, ValidationError

from engine import __version__
from engine.errors import UsageError
from engine.formatting.control_characters import single_line
from engine.service.deployments.node.client.event_stream import parse_events
from engine.service.deployments.node.client.failures import CutError, NodeError, NodeFailures, may_pass
from engine.spec.resources.deployments import NodeInfrastructure

ANSWER_BYTES = 64 * 2**20
TRIES = 5
PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds before each retry of a request."""

LONGEST_PAUSE = 30.0
"""The longest pause in seconds that is accepted from Retry-After."""

WHOLE_ANSWER = 10
"""The time limit of a whole response, as a multiple of the timeout."""

PART_BYTES = 1 << 18

T = TypeVar("T")


class NodeClient:
    """Sends requests to one node.

    Parameters
    ----------
    name
        The name of the infrastructure in the spec, for messages.
    token
        The value of the token.
    folder
        The folder that `certificate:` is relative to.
    redact
        Masks secrets in a text from the node.
    """

    def __init__(
        self,
        declared: NodeInfrastructure,
        name: str,
        token: str,
        folder: Path,
        redact: Callable[[str], str] = lambda text: text,
    ) -> None:
        self.name = name
        self._timeout = declared.timeout
        url = urlsplit(declared.url)
        self._failures = NodeFailures(
            name, url.netloc, url.scheme == "https", declared.certificate, declared.timeout, redact
        )
        if not re.fullmatch(r"[\x21-\x7e]+", token):
            raise UsageError(f"the token of the node {name!r} has a character that no token has: look at its secret")
        loopback = (url.hostname or "") in ("localhost", "127.0.0.1", "::1")
        self._client = httpx2.Client(
            base_url=declared.url.rstrip("/"),
            headers={
                "Authorization": f"Bearer {token}",
                "User-Agent": f"engine/{__version__}",
                "Accept": "application/json",
                "Accept-Encoding": "identity",  # a small compressed response could have any size
            },
            verify=self._build_context(declared.certificate, folder),
            timeout=declared.timeout,
            follow_redirects=False,
            trust_env=not loopback,  # a proxy cannot reach this machine
        )
        weakref.finalize(self, self._client.close)

    def _build_context(self, certificate: str | None, folder: Path) -> ssl.SSLContext:
        if certificate is None:
            return ssl.create_default_context()
        path = folder / certificate
        try:
            context = ssl.create_default_context(cafile=str(path))
        except (OSError, ssl.SSLError) as problem:
            reason = getattr(problem, "reason", None) or getattr(problem, "strerror", None) or "it is not a certificate"
            raise UsageError(
                f"the certificate of the node {self.name!r}, {path}, cannot be read: {reason}; it must be a file of "
                "certificates (PEM)"
            ) from None
        # The file defines the trust: a self-signed certificate need not be that of an authority.
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
        context.verify_flags &= ~ssl.VerifyFlags.VERIFY_X509_STRICT
        return context

    def ask(
        self,
        method: str,
        path: str,
        model: type[T],
        *,
        body: BaseModel | None = None,
        key: str | None = None,
        params: Mapping[str, str] | None = None,
    ) -> T:
        """Send a request and return its response, parsed as `model`.

        Parameters
        ----------
        key
            The idempotency key; a POST without one gets a new key.

        Raises
        ------
        NodeError
            The node cannot be reached, or refuses the request.
        DeploymentRefusedError
            The deployment was changed concurrently, or its state does not allow the request.
        """
        return self.parse(self.fetch(method, path, body=body, key=key, params=params), model)

    def fetch(
        self,
        method: str,
        path: str,
        *,
        body: BaseModel | None = None,
        key: str | None = None,
        params: Mapping[str, str] | None = None,
    ) -> bytes:
        """Send a request and return its JSON response unparsed; raise the same errors as `ask`."""
        headers = {}
        content = None if body is None else body.model_dump_json().encode()
        if method == "POST":
            headers = {"Idempotency-Key": key or secrets.token_hex(16), "Content-Type": "application/json"}
            content = content or b"{}"

        def send() -> bytes:
            with self._open(method, path, params=params, headers=headers, content=content) as response:
                self._check_kind(response)
                return self._read(response, ANSWER_BYTES)

        return self._repeat(send)

    def send_file(self, path: str, file: Path, model: type[T]) -> T:
        """Send a file with PUT, and return the response; raise the same errors as `ask`."""
        size = file.stat().st_size
        headers = {"Content-Type": "application/zip", "Content-Length": str(size)}

        def send() -> bytes:
            with self._open("PUT", path, headers=headers, content=_read_parts(file)) as response:
                self._check_kind(response)
                return self._read(response, ANSWER_BYTES)

        return self.parse(self._repeat(send), model)

    def receive_file(self, path: str, target: Path, most_bytes: int) -> None:
        """Write a response into a file, rewritten after a lost connection; raise the same errors as `ask`."""

        def receive() -> None:
            with self._open("GET", path) as response, target.open("wb") as file:
                for part in self._read_parts(response, most_bytes):
                    file.write(part)

        self._repeat(receive)

    def parse(self, raw: bytes, model: type[T]) -> T:
        """Return a response parsed as a model; raise NodeError if it does not match."""
        try:
            return TypeAdapter(model).validate_json(raw)
        except ValidationError as problem:
            first = problem.errors(include_url=False, include_input=False)[0]
            what = single_line(f"{'.'.join(map(str, first['loc']))}: {first['msg']}", limit=160)
            raise NodeError(
                f"{self._failures.node} answers in a form that this engine does not support ({what}): it "
                f"has another version than {__version__}; use the same version on both sides"
            ) from None

    def stream_events(self, path: str, after: int) -> Iterator[tuple[str, bytes]]:
        """Yield the kind and the data of each event of a stream after a number.

        The stream ends when the node ends it. A lost connection raises NodeError without a retry.
        """
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        try:
            with self._open("GET", path, headers=headers) as response:
                yield from parse_events(response.iter_raw(), self._failures.host)
        except CutError as cut:
            raise NodeError(f"{self._failures.node}: {cut}") from None
        except httpx2.HTTPError as problem:
            raise NodeError(f"{self._failures.node}: {self._failures.explain(problem)}") from None

    def _repeat(self, send: Callable[[], T]) -> T:
        """Send a request, with a few retries until it is answered."""
        for number in range(TRIES):
            try:
                return send()
            except CutError as cut:
                if number == TRIES - 1:
                    raise NodeError(f"{self._failures.node}: {cut}") from None
                time.sleep(min(LONGEST_PAUSE, cut.pause or PAUSES[number]))
            except httpx2.HTTPError as problem:
                if number == TRIES - 1 or not may_pass(problem):
                    raise NodeError(f"{self._failures.node}: {self._failures.explain(problem)}") from None
                time.sleep(PAUSES[number])
        raise AssertionError("the last try returns or raises")

    @contextmanager
    def _open(self, method: str, path: str, **request: Any) -> Iterator[httpx2.Response]:
        """Send a request once; yield a 2xx response before its body is read."""
        with self._client.stream(method, path, **request) as response:
            if not response.is_success:
                self._failures.raise_refusal(response)
            yield response

    def _read(self, response: httpx2.Response, most_bytes: int) -> bytes:
        return b"".join(self._read_parts(response, most_bytes))

    def _read_parts(self, response: httpx2.Response, most_bytes: int) -> Iterator[bytes]:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise NodeError(f"{self._failures.node} answers in a compressed form, which was not asked for")
        end, size = time.monotonic() + WHOLE_ANSWER * self._timeout, 0
        for part in response.iter_raw(PART_BYTES):
            size += len(part)
            if size > most_bytes:
                raise NodeError(
                    f"{self._failures.node} answers with more than {most_bytes:,} bytes, which are not read"
                )
            if time.monotonic() > end:
                raise NodeError(
                    f"{self._failures.node} answers too slowly: the answer was not whole after "
                    f"{WHOLE_ANSWER * self._timeout:g} s; a larger `timeout:` of the infrastructure waits longer"
                )
            yield part

    def _check_kind(self, response: httpx2.Response) -> None:
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise self._failures.create_other_server_error(f"its answer is {kind[:60] or 'of no kind'}, not JSON")


def quote_name(name: str) -> str:
    """Return a name quoted as a part of a path."""
    return quote(name, safe="")


def _read_parts(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while part := stream.read(PART_BYTES):
            yield part
