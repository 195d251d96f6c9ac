"""Explains failed requests to an automation node: it cannot be reached, or its response is unexpected."""

import json
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import httpx2

from engine.errors import EngineError
from engine.formatting.control_characters import single_line
from engine.service.deployments.updates.order import DeploymentRefusedError

ERROR_BYTES = 16_384
PASSING = (429, 502, 503, 504)
"""Status codes after which a retry may succeed."""


class NodeError(EngineError):
    """A node cannot be reached, or refuses a request.

    Attributes
    ----------
    status
        The status code of its response; None if there was none.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class CutError(Exception):
    """A request failed and may be retried, after `pause` seconds if the node asks for a pause."""

    def __init__(self, text: str, pause: float | None = None) -> None:
        super().__init__(text)
        self.pause = pause


@dataclass(frozen=True, slots=True)
class NodeFailures:
    """Explains failed requests to one node.

    Attributes
    ----------
    name
        The name of the infrastructure in the spec.
    host
        The host and the port of its URL.
    tls
        Whether its URL begins with https.
    certificate
        The file of `certificate:`, if there is one.
    timeout
        The timeout of a request in seconds.
    redact
        Masks secrets in a text from the node.
    """

    name: str
    host: str
    tls: bool
    certificate: str | None
    timeout: float
    redact: Callable[[str], str]

    @property
    def node(self) -> str:
        """The name of the node in messages."""
        return f"the node {self.name!r} ({self.host})"

    def raise_refusal(self, response: httpx2.Response) -> NoReturn:
        """Raise the error for a response other than 2xx."""
        status = response.status_code
        if 300 <= status < 400:
            target = single_line(response.headers.get("location", ""), limit=100)
            raise NodeError(
                f"{self.node} redirects{f' to {target}' if target else ''}, which is refused, because the token is for "
                f"{self.host}: write the final address as `url:`",
                status,
            )
        quoted = self._quote_error(response)
        if quoted is None:
            if status in PASSING:
                raise CutError(f"{status} {single_line(response.reason_phrase, limit=60)}", _read_pause(response))
            raise self.create_other_server_error(f"it answers {status} and no JSON", status)
        if status == 401:
            raise NodeError(
                f"{self.node} does not accept the token ({quoted}): correct `token:` of the infrastructure; the "
                "owner of the node creates tokens with engine node token create",
                status,
            )
        if status in PASSING:
            raise CutError(quoted, _read_pause(response))
        if status == 409:
            raise DeploymentRefusedError(quoted)
        if status == 413:
            raise NodeError(f"{self.node} does not take that much: {quoted}", status)
        raise NodeError(f"{self.node}: {quoted}", status)

    def create_other_server_error(self, answer: str, status: int | None = None) -> NodeError:
        """Return the error for a response that no node sends; `answer` describes it."""
        return NodeError(
            f"what is at {self.host} is not an automation node: {answer}; look at `url:` of the infrastructure "
            f"{self.name!r}",
            status,
        )

    def _quote_error(self, response: httpx2.Response) -> str | None:
        """Return the node's explanation of a refusal; None if the response is not from a node."""
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
        return self.redact(text)

    def explain(self, problem: httpx2.HTTPError) -> str:
        """Return why a request was not answered, as text."""
        certificate = _find_cause(problem, ssl.SSLCertVerificationError)
        if certificate is not None:
            reason = certificate.verify_message.rstrip(".") or "it cannot be checked"
            help_ = (
                f"{self.certificate}, which `certificate:` names, does not certify it"
                if self.certificate
                else "ask the owner of the node for the file of the certificate, and set `certificate:` of the "
                "infrastructure to it"
            )
            return f"its certificate is not trusted: {reason}; {help_}"
        if (tls := _find_cause(problem, ssl.SSLError)) is not None:
            return f"its TLS connection failed ({tls.reason or 'unknown'}): check the beginning of `url:`"
        if isinstance(problem, httpx2.ConnectTimeout | httpx2.PoolTimeout):
            return f"it cannot be reached within {self.timeout:g} s"
        if isinstance(problem, httpx2.TimeoutException):
            return (
                f"it did not answer within {self.timeout:g} s; a larger `timeout:` of the infrastructure waits longer"
            )
        if isinstance(problem, httpx2.ConnectError):
            system = _find_cause(problem, OSError)
            return f"it cannot be reached: {(system and system.strerror) or 'no connection'}; is it running?"
        if isinstance(problem, httpx2.RemoteProtocolError | httpx2.ReadError | httpx2.WriteError):
            help_ = "" if self.tls else "; if the node uses TLS, `url:` must begin with https"
            return f"the connection was closed before the answer{help_}"
        return single_line(self.redact(str(problem)) or type(problem).__name__, limit=200)


def may_pass(problem: httpx2.HTTPError) -> bool:
    """Return whether a retry may succeed soon."""
    return isinstance(problem, httpx2.TransportError) and _find_cause(problem, ssl.SSLError) is None


def _find_cause(problem: BaseException, kind: type[Any]) -> Any:
    """Return the first cause of an error that is of a kind; None if there is none."""
    seen: BaseException | None = problem
    while seen is not None:
        if isinstance(seen, kind):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


def _read_pause(response: httpx2.Response) -> float | None:
    wait = re.fullmatch(r"\s*([0-9]{1,6})\s*", response.headers.get("retry-after", ""))
    return float(wait[1]) if wait else None
