"""Asks an automation node over HTTP, as its API `/v1` (`engine.server.node_api`) answers.

A request is sent again after a connection that was cut or could not be made, and after an answer that says "later".
That is safe: what changes something carries an Idempotency-Key, so the node does it once. Redirects are refused, since
the token is for the node that the spec names. Answers are of bounded size and are read in bounded time, and nothing in
an error quotes the token.
"""

import json
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
from engine.errors import EngineError, UsageError
from engine.formatting.control_characters import single_line
from engine.service.deployments.update_order import DeploymentRefusedError
from engine.spec.resources.deployments import NodeInfrastructure

ANSWER_BYTES = 64 * 2**20
ERROR_BYTES = 16_384
EVENT_BYTES = 4 * 2**20
TRIES = 5
PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds before a request is sent again."""

LONGEST_PAUSE = 30.0
"""The longest time that a node may ask to wait by Retry-After."""

WHOLE_ANSWER = 10
"""An answer is whole in so many times the longest pause that it may have."""

PART_BYTES = 1 << 18
PASSING = (429, 502, 503, 504)
"""Answers after which the same request may be answered otherwise."""

T = TypeVar("T")


class NodeError(EngineError):
    """A node cannot be reached, or does not do what it was asked for.

    Attributes
    ----------
    status
        The status of its answer; None if there was none.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class _CutError(Exception):
    """A request that may be sent again; the text says what has happened. `pause` is what the node asks for."""

    def __init__(self, text: str, pause: float | None = None) -> None:
        super().__init__(text)
        self.pause = pause


class NodeClient:
    """Sends requests to one node.

    Parameters
    ----------
    name
        The name of the infrastructure in the spec, for messages.
    token
        The token itself.
    folder
        The folder that `certificate:` is relative to.
    redact
        Masks secrets in a text that the node has answered.
    """

    def __init__(
        self,
        declared: NodeInfrastructure,
        name: str,
        token: str,
        folder: Path,
        redact: Callable[[str], str] = lambda text: text,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name
        self._timeout = declared.timeout
        self._redact, self._pause = redact, pause
        self._host = urlsplit(declared.url).netloc
        self._certificate = declared.certificate
        if not re.fullmatch(r"[\x21-\x7e]+", token):
            raise UsageError(f"the token of the node {name!r} has a character that no token has: look at its secret")
        loopback = (urlsplit(declared.url).hostname or "") in ("localhost", "127.0.0.1", "::1")
        self._client = httpx2.Client(
            base_url=declared.url.rstrip("/"),
            headers={
                "Authorization": f"Bearer {token}",
                "User-Agent": f"engine/{__version__}",
                "Accept": "application/json",
                "Accept-Encoding": "identity",  # a small answer could unfold to any size
            },
            verify=self._build_context(folder),
            timeout=declared.timeout,
            follow_redirects=False,
            trust_env=not loopback,  # a proxy does not lead to this machine
        )
        weakref.finalize(self, self._client.close)

    def _build_context(self, folder: Path) -> ssl.SSLContext:
        if self._certificate is None:
            return ssl.create_default_context()
        path = folder / self._certificate
        try:
            context = ssl.create_default_context(cafile=str(path))
        except (OSError, ssl.SSLError) as problem:
            reason = getattr(problem, "reason", None) or getattr(problem, "strerror", None) or "it is not a certificate"
            raise UsageError(
                f"the certificate of the node {self.name!r}, {path}, cannot be read: {reason}; it must be a file of "
                "certificates (PEM)"
            ) from None
        # The file says who is trusted: a certificate that has signed itself need not have the form of an authority.
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
        context.verify_flags &= ~ssl.VerifyFlags.VERIFY_X509_STRICT
        return context

    # --- requests

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
        """Send a request and return its answer, which has the form of `model`.

        Parameters
        ----------
        key
            Requests of one key are one request; a POST without one has a key of its own.

        Raises
        ------
        NodeError
            The node cannot be reached, or has refused it.
        DeploymentRefusedError
            Somebody else was faster, or the state of the deployment does not allow it.
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
        """Send a request and return its answer as it is, which is JSON; raises as `ask`."""
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
        """Send a file with PUT, and return the answer; raises as `ask`."""
        size = file.stat().st_size
        headers = {"Content-Type": "application/zip", "Content-Length": str(size)}

        def send() -> bytes:
            with self._open("PUT", path, headers=headers, content=_read_parts(file)) as response:
                self._check_kind(response)
                return self._read(response, ANSWER_BYTES)

        return self.parse(self._repeat(send), model)

    def receive_file(self, path: str, target: Path, most_bytes: int) -> None:
        """Write an answer into a file, which is replaced if the connection is cut on the way; raises as `ask`."""

        def receive() -> None:
            with self._open("GET", path) as response, target.open("wb") as file:
                for part in self._read_parts(response, most_bytes):
                    file.write(part)

        self._repeat(receive)

    def parse(self, raw: bytes, model: type[T]) -> T:
        """Return an answer as what it must be; raises NodeError if it is something else."""
        try:
            return TypeAdapter(model).validate_json(raw)
        except ValidationError as problem:
            first = problem.errors(include_url=False, include_input=False)[0]
            what = single_line(f"{'.'.join(map(str, first['loc']))}: {first['msg']}", limit=160)
            raise NodeError(
                f"the node {self.name!r} ({self._host}) answers in a form that this engine does not know ({what}): it "
                f"has another version than {__version__}; use the same version on both sides"
            ) from None

    def stream_events(self, path: str, after: int) -> Iterator[tuple[str, bytes]]:
        """Yield the kind and the data of each event of a stream, from that after a number on.

        The stream ends when the node ends it; raises NodeError at once if the connection is cut.
        """
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        try:
            with self._open("GET", path, headers=headers) as response:
                yield from _parse_events(response.iter_raw(), self._host)
        except _CutError as cut:
            raise NodeError(f"the node {self.name!r} ({self._host}): {cut}") from None
        except httpx2.HTTPError as problem:
            raise NodeError(f"the node {self.name!r} ({self._host}): {self._explain(problem)}") from None

    def _repeat(self, send: Callable[[], T]) -> T:
        """Send a request until it is answered, a few times."""
        for number in range(TRIES):
            try:
                return send()
            except _CutError as cut:
                if number == TRIES - 1:
                    raise NodeError(f"the node {self.name!r} ({self._host}): {cut}") from None
                self._pause(min(LONGEST_PAUSE, cut.pause or PAUSES[number]))
            except httpx2.HTTPError as problem:
                if number == TRIES - 1 or not _may_pass(problem):
                    raise NodeError(f"the node {self.name!r} ({self._host}): {self._explain(problem)}") from None
                self._pause(PAUSES[number])
        raise AssertionError("the last try returns or raises")

    @contextmanager
    def _open(self, method: str, path: str, **request: Any) -> Iterator[httpx2.Response]:
        """Send a request once; give its answer if it is 2xx, whose body has not been read yet."""
        with self._client.stream(method, path, **request) as response:
            if not response.is_success:
                self._raise_refusal(response)
            yield response

    def _read(self, response: httpx2.Response, most_bytes: int) -> bytes:
        return b"".join(self._read_parts(response, most_bytes))

    def _read_parts(self, response: httpx2.Response, most_bytes: int) -> Iterator[bytes]:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise NodeError(
                f"the node {self.name!r} ({self._host}) answers in a compressed form, which was not asked for"
            )
        end, size = time.monotonic() + WHOLE_ANSWER * self._timeout, 0
        for part in response.iter_raw(PART_BYTES):
            size += len(part)
            if size > most_bytes:
                raise NodeError(
                    f"the node {self.name!r} ({self._host}) answers with more than {most_bytes:,} bytes, which are not "
                    "read"
                )
            if time.monotonic() > end:
                raise NodeError(
                    f"the node {self.name!r} ({self._host}) answers too slowly: the answer was not whole after "
                    f"{WHOLE_ANSWER * self._timeout:g} s; a larger `timeout:` of the infrastructure waits longer"
                )
            yield part

    def _check_kind(self, response: httpx2.Response) -> None:
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise NodeError(
                f"what is at {self._host} is not an automation node: its answer is {kind[:60] or 'of no kind'}, not "
                f"JSON; look at `url:` of the infrastructure {self.name!r}"
            )

    # --- what went wrong, in words

    def _raise_refusal(self, response: httpx2.Response) -> None:
        """Raise the error for an answer other than 2xx."""
        status = response.status_code
        node = f"the node {self.name!r} ({self._host})"
        if 300 <= status < 400:
            target = single_line(response.headers.get("location", ""), limit=100)
            raise NodeError(
                f"{node} redirects{f' to {target}' if target else ''}, which is refused, because the token is for "
                f"{self._host}: write the final address as `url:`",
                status,
            )
        said = self._quote_error(response)
        if said is None:
            if status in PASSING:
                raise _CutError(f"{status} {single_line(response.reason_phrase, limit=60)}", _read_pause(response))
            raise NodeError(
                f"what is at {self._host} is not an automation node: it answers {status} and no JSON; look at `url:` "
                f"of the infrastructure {self.name!r}",
                status,
            )
        if status == 401:
            raise NodeError(
                f"{node} does not know the token ({said}): look at `token:` of the infrastructure; who runs the node "
                "makes one by engine node token create",
                status,
            )
        if status in PASSING:
            raise _CutError(said, _read_pause(response))
        if status == 409:
            raise DeploymentRefusedError(said)
        if status == 413:
            raise NodeError(f"{node} does not take that much: {said}", status)
        raise NodeError(f"{node}: {said}", status)

    def _quote_error(self, response: httpx2.Response) -> str | None:
        """Return what the node says about a refusal; None if its answer is not one of a node."""
        raw = b""
        for part in response.iter_raw(ERROR_BYTES):
            raw += part
            if len(raw) >= ERROR_BYTES:
                break
        try:
            found = json.loads(raw)
            error, help_ = found["error"], found.get("help")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        text = single_line(f"{error}{f'; {help_}' if help_ else ''}", limit=1000)
        return self._redact(text)

    def _explain(self, problem: httpx2.HTTPError) -> str:
        """Return why a request was not answered, in words."""
        certificate = _find_cause(problem, ssl.SSLCertVerificationError)
        if certificate is not None:
            reason = certificate.verify_message.rstrip(".") or "it cannot be checked"
            help_ = (
                f"{self._certificate}, which `certificate:` names, does not vouch for it"
                if self._certificate
                else "name the file of the certificate, which you have from who runs the node, as `certificate:` of "
                "the infrastructure"
            )
            return f"its certificate is not trusted: {reason}; {help_}"
        if (tls := _find_cause(problem, ssl.SSLError)) is not None:
            return f"it does not speak TLS as it should ({tls.reason or 'unknown'}): does `url:` begin rightly?"
        if isinstance(problem, httpx2.ConnectTimeout | httpx2.PoolTimeout):
            return f"it cannot be reached within {self._timeout:g} s"
        if isinstance(problem, httpx2.TimeoutException):
            return (
                f"it did not answer within {self._timeout:g} s; a larger `timeout:` of the infrastructure waits longer"
            )
        if isinstance(problem, httpx2.ConnectError):
            system = _find_cause(problem, OSError)
            return f"it cannot be reached: {(system and system.strerror) or 'no connection'}; is it running?"
        if isinstance(problem, httpx2.RemoteProtocolError | httpx2.ReadError | httpx2.WriteError):
            plain = self._client.base_url.scheme == "http"
            help_ = "; if the node speaks TLS, `url:` must begin with https" if plain else ""
            return f"the connection was cut before the answer{help_}"
        return single_line(self._redact(str(problem)) or type(problem).__name__, limit=200)


def quote_name(name: str) -> str:
    """Return a name as a part of a path."""
    return quote(name, safe="")


def _may_pass(problem: httpx2.HTTPError) -> bool:
    """Return whether the same request may be answered a moment later."""
    return isinstance(problem, httpx2.TransportError) and _find_cause(problem, ssl.SSLError) is None


def _find_cause(problem: BaseException, kind: type[Any]) -> Any:
    """Return the first of the causes of an error that is of a kind; None if none is."""
    seen: BaseException | None = problem
    while seen is not None:
        if isinstance(seen, kind):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


def _read_pause(response: httpx2.Response) -> float | None:
    wait = re.fullmatch(r"\s*([0-9]{1,6})\s*", response.headers.get("retry-after", ""))
    return float(wait[1]) if wait else None


def _read_parts(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while part := stream.read(PART_BYTES):
            yield part


def _parse_events(parts: Iterator[bytes], host: str) -> Iterator[tuple[str, bytes]]:
    """Yield the events of a stream of server-sent events; one without data, such as a comment, is none."""
    buffer, kind, data = b"", "message", b""
    for part in parts:
        buffer += part
        *lines, buffer = buffer.split(b"\n")
        if len(buffer) + len(data) > EVENT_BYTES:
            raise NodeError(f"{host} sends an event of more than {EVENT_BYTES:,} bytes, which is not read")
        for line in lines:
            name, _, value = line.rstrip(b"\r").partition(b":")
            value = value.removeprefix(b" ")
            if not line.strip():
                if data:
                    yield kind, data
                kind, data = "message", b""
            elif name == b"event":
                kind = value.decode("utf-8", "replace")
            elif name == b"data":
                data += (b"\n" if data else b"") + value
