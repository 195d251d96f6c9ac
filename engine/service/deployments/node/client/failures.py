"""What goes wrong with an automation node, in words: it cannot be reached, or answers otherwise than it was asked."""

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
"""Answers after which the same request may be answered otherwise."""


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


class CutError(Exception):
    """A request that may be sent again; the text says what has happened. `pause` is what the node asks for."""

    def __init__(self, text: str, pause: float | None = None) -> None:
        super().__init__(text)
        self.pause = pause


@dataclass(frozen=True, slots=True)
class NodeFailures:
    """Tells what went wrong with one node.

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
        Seconds after which a request is given up.
    redact
        Masks secrets in a text that the node has answered.
    """

    name: str
    host: str
    tls: bool
    certificate: str | None
    timeout: float
    redact: Callable[[str], str]

    @property
    def node(self) -> str:
        """The node, as messages name it."""
        return f"the node {self.name!r} ({self.host})"

    def raise_refusal(self, response: httpx2.Response) -> NoReturn:
        """Raise the error for an answer other than 2xx."""
        status = response.status_code
        if 300 <= status < 400:
            target = single_line(response.headers.get("location", ""), limit=100)
            raise NodeError(
                f"{self.node} redirects{f' to {target}' if target else ''}, which is refused, because the token is for "
                f"{self.host}: write the final address as `url:`",
                status,
            )
        said = self._quote_error(response)
        if said is None:
            if status in PASSING:
                raise CutError(f"{status} {single_line(response.reason_phrase, limit=60)}", _read_pause(response))
            raise self.create_other_server_error(f"it answers {status} and no JSON", status)
        if status == 401:
            raise NodeError(
                f"{self.node} does not know the token ({said}): look at `token:` of the infrastructure; who runs the "
                "node makes one by engine node token create",
                status,
            )
        if status in PASSING:
            raise CutError(said, _read_pause(response))
        if status == 409:
            raise DeploymentRefusedError(said)
        if status == 413:
            raise NodeError(f"{self.node} does not take that much: {said}", status)
        raise NodeError(f"{self.node}: {said}", status)

    def create_other_server_error(self, answer: str, status: int | None = None) -> NodeError:
        """Return the error for an answer that no node gives; `answer` says what it is."""
        return NodeError(
            f"what is at {self.host} is not an automation node: {answer}; look at `url:` of the infrastructure "
            f"{self.name!r}",
            status,
        )

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
        return self.redact(text)

    def explain(self, problem: httpx2.HTTPError) -> str:
        """Return why a request was not answered, in words."""
        certificate = _find_cause(problem, ssl.SSLCertVerificationError)
        if certificate is not None:
            reason = certificate.verify_message.rstrip(".") or "it cannot be checked"
            help_ = (
                f"{self.certificate}, which `certificate:` names, does not vouch for it"
                if self.certificate
                else "name the file of the certificate, which you have from who runs the node, as `certificate:` of "
                "the infrastructure"
            )
            return f"its certificate is not trusted: {reason}; {help_}"
        if (tls := _find_cause(problem, ssl.SSLError)) is not None:
            return f"it does not speak TLS as it should ({tls.reason or 'unknown'}): does `url:` begin rightly?"
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
            help_ = "" if self.tls else "; if the node speaks TLS, `url:` must begin with https"
            return f"the connection was cut before the answer{help_}"
        return single_line(self.redact(str(problem)) or type(problem).__name__, limit=200)


def may_pass(problem: httpx2.HTTPError) -> bool:
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
