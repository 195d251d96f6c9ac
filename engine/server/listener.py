"""The HTTP listener of `engine serve`: uvicorn in a thread beside the loop.

The socket is bound before the thread starts, so that an address in use is an error of the command. uvicorn handles no
signals, because it installs handlers only in the main thread.
"""

import errno
import os
import socket
import ssl
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import uvicorn

from engine.errors import UsageError
from engine.server.access import HEADER_BYTES
from engine.server.app import build_app
from engine.server.connections import TimedConnection
from engine.server.tokens import NodeTokens, OneToken, TokenCheck, check_token, make_token
from engine.service.control import ServerControl
from engine.service.served_node import ServedNode
from engine.spec.reading.node_file import NodeSpec
from engine.spec.urls.listen_address import EXAMPLES, is_loopback, parse_listen_address

TOKEN_VARIABLE = "ENGINE_SERVE_TOKEN"  # noqa: S105 - a name
MOST_CONNECTIONS = 200
STOP_SECONDS = 2
_KEYS = {"--tls-cert": "tls.certificate", "--tls-key": "tls.key"}
"""The keys of a node's file whose names differ from those of the options."""

if TYPE_CHECKING:
    from engine.server.node_api.application import NodeApi


@dataclass(frozen=True, slots=True)
class ListenerOptions:
    """The address of the server, and its token and TLS settings.

    Attributes
    ----------
    listen
        Address and port: `127.0.0.1:7310`, `[::1]:7310`; port 0 for any free port.
    token_file
        A file with the token; None for the variable ENGINE_SERVE_TOKEN, or else a new token.
    behind_proxy
        Whether a proxy in front of the server terminates TLS.
    tls_cert, tls_key
        The files of the certificate and its key.
    file
        The node file with these settings; None if they come from the command line.
    """

    listen: str = "127.0.0.1:7310"
    token_file: Path | None = None
    behind_proxy: bool = False
    tls_cert: Path | None = None
    tls_key: Path | None = None
    file: Path | None = None

    @classmethod
    def of_node(cls, node: NodeSpec) -> Self:
        """Return the options from the file of a node."""
        found, tls = node.resources, node.resources.tls
        return cls(
            listen=found.listen,
            behind_proxy=found.behind_proxy,
            tls_cert=node.resolve_path(tls.certificate) if tls else None,
            tls_key=node.resolve_path(tls.key) if tls else None,
            file=node.path,
        )

    def name_option(self, option: str) -> str:
        """Return the name of an option at its source: `--tls-key`, or `tls.key` of a file."""
        if self.file is None:
            return option
        return f"{self.file}: {_KEYS.get(option, option.removeprefix('--'))}"

    def load_certificate(self) -> ssl.SSLContext | None:
        """Return the TLS context; None without a certificate. Raises UsageError if the certificate cannot be used."""
        if self.tls_cert is None or self.tls_key is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        names = {option: self.name_option(option) for option in ("--tls-cert", "--tls-key")}
        for name, path in zip(names.values(), (self.tls_cert, self.tls_key), strict=True):
            if not path.is_file():
                raise UsageError(f"{name} {path} is not a file")
        try:
            context.load_cert_chain(self.tls_cert, self.tls_key, password="")
        except (ssl.SSLError, OSError) as problem:
            reason = getattr(problem, "reason", None) or problem.strerror or "they are not PEM"
            pair = f"{names['--tls-cert']} {self.tls_cert} and {names['--tls-key']} {self.tls_key}"
            raise UsageError(
                f"{pair} cannot be used: {reason}; they must be PEM files that belong together, the key without a "
                "password"
            ) from None
        return context


class Listener:
    """Answers HTTP requests from `start` to `stop`.

    Attributes
    ----------
    url
        The address of the server, after `start`.
    token
        The token that each request needs; empty for a node, which has its own tokens.
    tokens
        Finds the owner of a request's token; may be replaced before `start`.
    """

    def __init__(
        self,
        control: ServerControl,
        options: ListenerOptions,
        given_token: str | None,
        report: Callable[[str], None],
        node: ServedNode | None,
        api: "NodeApi | None",
    ) -> None:
        self._control, self._options, self._report, self._node, self._api = control, options, report, node, api
        self._tls = self._certificate = options.load_certificate()
        if self._tls is not None:
            self._tls.sni_callback = self._give_certificate
        self._server: uvicorn.Server | None = None
        self._thread: Thread | None = None
        self._token_is_given = given_token is not None
        self.token = "" if node else given_token or make_token()
        self.tokens: TokenCheck = NodeTokens(node.node.tokens, report) if node else OneToken(self.token)
        self.url = ""

    @property
    def start_url(self) -> str:
        """The address to open in a browser, with the token, which becomes a session."""
        return f"{self.url}/?token={self.token}"

    def choose_shown_url(self, *, to_person: bool) -> str:
        """Return the address to print.

        It contains the token if the token was generated here, so that nobody knows it yet, or if it is shown to a
        person at a terminal (`to_person`). A given token must not appear in logs, which many people can read.
        """
        return self.start_url if self.token and (to_person or not self._token_is_given) else self.url

    def find_mismatch(self, server_url: str, key: str = "server.url") -> str:
        """Return a warning if the address for links in messages, set under `key`, has another port than this server.

        Empty if the ports match, or if a proxy may forward to this server.
        """
        named, own = urlsplit(server_url), urlsplit(self.url)
        port = named.port or {"http": 80, "https": 443}.get(named.scheme)
        if self._options.behind_proxy or port == own.port:
            return ""
        proxy = "behind_proxy: true" if self._options.file else "--behind-proxy"
        listen = self._options.name_option("--listen")
        return (
            f"`{key}` is {server_url}, but this server answers at port {own.port}, so links in messages lead "
            f"elsewhere. What to do: correct one of the two (`{listen}` chooses the port), or add {proxy} if a "
            "proxy leads from there to here"
        )

    def read_certificate(self, node: NodeSpec) -> str:
        """Use the certificate in the present node file for new connections; return why that is impossible, else "".

        So a renewed certificate does not need a restart.
        """
        options = ListenerOptions.of_node(node)
        if self._tls is None or options.tls_cert is None:
            return ""  # TLS is switched on or off only at the next start
        try:
            self._certificate = options.load_certificate()
        except UsageError as problem:
            return f"the certificate in use stays: {problem}"
        return ""

    def _give_certificate(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """Set the present certificate for a new connection.

        Replacing certificate and key in a context takes two steps, and a connection that begins in between would fail.
        So each pair has its own context.
        """
        if self._certificate is not None:
            connection.context = self._certificate

    def start(self) -> None:
        """Bind the address, and begin to answer requests.

        Raises
        ------
        UsageError
            The address is in use, or is not an address of this machine.
        """
        bound = _bind(*_parse_option(self._options.listen), self._options.name_option("--listen"))
        host, port = bound.getsockname()[:2]
        self.url = f"{'https' if self._tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
        config = uvicorn.Config(
            build_app(
                self._control,
                self.tokens,
                self._report,
                self._node,
                self._api,
                secure=self._tls is not None or self._options.behind_proxy,
            ),
            loop="asyncio",
            http=TimedConnection,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",  # requests are not logged, and the client gets the errors
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            limit_concurrency=MOST_CONNECTIONS,
            h11_max_incomplete_event_size=HEADER_BYTES,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=STOP_SECONDS,
            ssl_context_factory=(lambda _config, _default: tls) if (tls := self._tls) else None,
        )
        self._server = uvicorn.Server(config)
        self._thread = Thread(target=self._answer, args=(self._server, bound), name="http", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop answering; requests that are being answered have STOP_SECONDS to end."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(STOP_SECONDS + 2)

    def _answer(self, server: uvicorn.Server, bound: socket.socket) -> None:
        try:
            server.run(sockets=[bound])
        except (Exception, SystemExit) as problem:  # noqa: BLE001 - told, whatever it is
            self._report(f"the server no longer answers HTTP requests: {problem!r}")
        else:
            if not server.should_exit:
                self._report("the server no longer answers HTTP requests")
        finally:
            bound.close()


def create_listener(
    control: ServerControl,
    options: ListenerOptions,
    environ: MutableMapping[str, str],
    report: Callable[[str], None],
    node: ServedNode | None = None,
    api: "NodeApi | None" = None,
) -> Listener:
    """Return the listener of a server, which is not started yet.

    Parameters
    ----------
    environ
        The environment variables. ENGINE_SERVE_TOKEN is removed, because the runs of the server inherit them.
    report
        Called with errors during operation, as text for people.
    node
        The node of the server; None if the server is not a node.
    api
        Answers the requests about deployments on the node.

    Raises
    ------
    UsageError
        An option is wrong, or the token would be sent unencrypted over the network.
    """
    host, _ = _parse_option(options.listen)
    if (options.tls_cert is None) != (options.tls_key is None):
        raise UsageError("--tls-cert and --tls-key belong together: give both")
    if not (is_loopback(host) or options.behind_proxy or options.tls_cert):
        raise UsageError(
            f"--listen {options.listen} can be reached from other machines, and the token would be sent unencrypted: "
            "add --tls-cert and --tls-key, or --behind-proxy if a proxy in front of it ends TLS, or listen on 127.0.0.1"
        )
    token = _take_token(options.token_file, environ)
    if node is not None and token is not None:
        help_ = f"unset it, and create tokens with engine node token create {node.spec.path} NAME --role ROLE"
        raise UsageError(f"{TOKEN_VARIABLE} is set, but a node has tokens of its own: {help_}")
    return Listener(control, options, token, report, node, api)


def _take_token(file: Path | None, environ: MutableMapping[str, str]) -> str | None:
    """Return the given token, if any, and remove it from the environment."""
    given = environ.pop(TOKEN_VARIABLE, None)
    if file is not None:
        try:
            return check_token(file.read_text(encoding="utf-8"), f"--token-file {file}")
        except (OSError, UnicodeDecodeError) as problem:
            reason = getattr(problem, "strerror", None) or "it is not UTF-8"
            raise UsageError(f"--token-file {file} cannot be read: {reason}") from None
    return None if given is None else check_token(given, TOKEN_VARIABLE)


def _parse_option(text: str) -> tuple[str, int]:
    try:
        return parse_listen_address(text)
    except ValueError:
        raise UsageError(f"--listen {text} is not an address: {EXAMPLES}") from None


def _bind(host: str, port: int, option: str) -> socket.socket:
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        bound = socket.create_server(address[:2], family=family, backlog=MOST_CONNECTIONS)
    except OSError as problem:
        help_ = f"stop the program that uses it, or choose another one: {option} HOST:PORT, port 0 for any that is free"
        known = problem.errno in errno.errorcode  # errors of the name service have only their own text
        reason = os.strerror(problem.errno or 0) if known else problem.strerror
        raise UsageError(f"cannot listen on {shown}: {reason}; {help_}") from None
    # asyncio does not set this for a given socket; without it, the body of an answer waits 40 ms for the client's ACK
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return bound
