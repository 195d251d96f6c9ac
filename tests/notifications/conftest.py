"""Real servers on loopback, certificates of an authority of our own, and a project to send from."""

import asyncio
import contextlib
import datetime
import http.server
import inspect
import io
import ipaddress
import json
import logging
import resource
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from engine.store import Store

from ..clocks import Clock
from ..ports import find_free_port
from .mail_server import MailServer
from .office import Office

USER, PASSWORD = "monitor@example.com", "p@ss/w:rd?#é%"


@dataclass
class Inbox:
    """What a mail server does and what it took. `refuse` maps recipients to answers; `answer_data` answers DATA."""

    port: int
    mails: list[tuple[list[str], EmailMessage]] = field(default_factory=list)
    refuse: dict[str, str] = field(default_factory=dict)
    answer_data: list[str] = field(default_factory=list)
    hang: bool = False
    password: str = PASSWORD
    logins: list[str] = field(default_factory=list)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.hang:
            await asyncio.sleep(5)
        if self.answer_data:
            return self.answer_data.pop(0)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append((list(envelope.rcpt_tos), mail))
        return "250 taken"

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        self.logins.append(mechanism)
        right = data.login == USER.encode() and data.password == self.password.encode()
        return AuthResult(success=right, handled=False)


@dataclass(frozen=True)
class Certificates:
    ca: Path
    context: ssl.SSLContext


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority, and a certificate for localhost and 127.0.0.1 that it signed."""
    return create_certificates(tmp_path_factory.mktemp("certificates"), "localhost")


@pytest.fixture(scope="session")
def service_certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority, and a certificate for the servers of services on the internet that it signed."""
    return create_certificates(
        tmp_path_factory.mktemp("services"),
        "hooks.slack.com",
        "prod-21.westeurope.logic.azure.com",
        "chat.googleapis.com",
        "api.telegram.org",
        "events.pagerduty.com",
    )


def create_certificates(folder: Path, *hosts: str) -> Certificates:
    now = datetime.datetime.now(datetime.UTC)

    def builder(name: str, key: ec.EllipticCurvePublicKey, issuer: str) -> x509.CertificateBuilder:
        def of(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

        return (
            x509.CertificateBuilder()
            .subject_name(of(name))
            .issuer_name(of(issuer))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )

    authority = ec.generate_private_key(ec.SECP256R1())
    authority_id = x509.SubjectKeyIdentifier.from_public_key(authority.public_key())
    may = {name: name == "key_cert_sign" for name in inspect.signature(x509.KeyUsage).parameters}
    usage = x509.KeyUsage(**may)
    root = (
        builder("Our authority", authority.public_key(), "Our authority")
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(authority_id, critical=False)
        .add_extension(usage, critical=True)
        .sign(authority, hashes.SHA256())
    )
    key = ec.generate_private_key(ec.SECP256R1())
    names = [*map(x509.DNSName, hosts), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    leaf = (
        builder("localhost", key.public_key(), "Our authority")
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(authority_id), critical=False)
        .sign(authority, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(root.public_bytes(serialization.Encoding.PEM))
    (folder / "leaf.pem").write_bytes(
        leaf.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "leaf.pem")
    return Certificates(folder / "ca.pem", context)


class Servers:
    """Starts mail servers, ends them with the test."""

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates
        self._running: list[MailServer] = []

    def start(
        self,
        *,
        tls: str = "none",
        login: bool = False,
        port: int | None = None,
        host: str = "127.0.0.1",
        largest: int | None = None,
    ) -> Inbox:
        """Start a server that takes mails of at most `largest` bytes."""
        inbox = Inbox(port or find_free_port())
        settings: dict[str, Any] = {} if largest is None else {"data_size_limit": largest}
        if tls == "implicit":
            settings |= {"ssl_context": self._certificates.context}
        elif tls == "starttls":
            settings |= {"tls_context": self._certificates.context, "require_starttls": True}
        if login:
            settings |= {"authenticator": inbox.authenticate, "auth_required": True}
            # aiosmtpd does not count TLS from the first byte as TLS.
            settings |= {"auth_require_tls": tls == "starttls"}
        controller = MailServer(inbox, hostname=host, port=inbox.port, **settings)
        controller.start()
        self._running.append(controller)
        return inbox

    def stop(self) -> None:
        for controller in self._running:
            controller.stop()
        self._running.clear()


@pytest.fixture
def servers(certificates: Certificates) -> Iterator[Servers]:
    servers = Servers(certificates)
    yield servers
    servers.stop()


@dataclass
class Webhook:
    """An HTTP server that keeps what it was sent and answers `status`, or what `judge` says of it, with `words`.

    A redirect leads to a page that answers 200 to GET, as pages to sign in do.
    """

    port: int = 0
    status: int = 200
    words: str = ""
    posts: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    judge: Callable[[dict[str, Any]], int] | None = None
    parse: Callable[[bytes], dict[str, Any]] = json.loads


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    hook = Webhook()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hook.posts.append(hook.parse(self.rfile.read(int(self.headers["Content-Length"]))))
            hook.paths.append(self.path)
            self.send_response(hook.judge(hook.posts[-1]) if hook.judge else hook.status)
            self.send_header("Location", f"http://127.0.0.1:{hook.port}/sign-in")
            self.end_headers()
            self.wfile.write(hook.words.encode())

        def do_GET(self) -> None:
            hook.paths.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hook.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield hook
    server.shutdown()
    thread.join()
    server.server_close()


@contextlib.contextmanager
def limit_files() -> Iterator[None]:
    """Let no file become larger than two bytes, as if the disk were full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def root_log() -> Iterator[io.StringIO]:
    """What an application that logs everything writes down. (pytest's own also listens to loggers that keep quiet.)"""
    written = io.StringIO()
    handler, root = logging.StreamHandler(written), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield written
    root.setLevel(level)
    root.removeHandler(handler)


SPEC = """\
version: 1
project: card_fraud
secrets:
  smtp_url: {env: SMTP_URL, optional: true}
  hook_url: {env: HOOK_URL, optional: true}
  needed: {env: NEEDED}
variables:
  quarter: Q4 2017
  period_start: 2017-10-01
datasets:
  batch: {path: batch.csv}
  reference: {path: reference.csv}
evaluation_stores:
  the_MES:
    dataset: batch
    reference: {kind: dataset, dataset: reference}
    checks:
      data drift < 0.45: {metric: data_drift, soft_max: 0.45}
      feature drift: {metric: drift.*, soft_max: 0.1, max: 0.3}
channels:
  ops_mail:
    kind: mail
    url: "${secret.smtp_url}"
    from: dss@example.com
    timeout: 2
    fallback: {kind: file, path: outbox}
  mail_only: {kind: mail, url: "${secret.smtp_url}", from: dss@example.com}
  needs_secret: {kind: mail, url: "${secret.needed}", from: dss@example.com}
  hook: {kind: apprise, url: "${secret.hook_url}", fallback: {kind: file, path: outbox}}
  files: {kind: file, path: outbox}
scenarios:
  Data drift monitor:
    steps:
      - {name: Build MES, kind: build, target: the_MES}
      - {name: MES_Warn, kind: run_checks, target: the_MES}
    reporters:
      - name: Data drift warning
        active: true
        run_condition: stepOutcome_MES_Warn == 'WARNING'
        channel: ops_mail
        to: [mlops@example.com]
        subject: DSS scenario "${scenarioName}" issued a warning
        message: |
          The “${scenarioName}” scenario returned a warning for exceeding the data drift threshold.
          Here’s the summary of warning events:
          ${warningsEventsSummary}
          You can find the attached scenario log or view the scenario run here: ${scenarioRunURL}
        attach: [scenario_log]
"""


@pytest.fixture
def spec_file(tmp_path: Path) -> Path:
    path = tmp_path / "card_fraud.yaml"
    path.write_text(SPEC, encoding="utf-8")
    return path


@pytest.fixture
def office(spec_file: Path, tmp_path: Path) -> Iterator[Office]:
    clock = Clock(datetime.datetime(2026, 11, 23, 1, 38, tzinfo=datetime.UTC))
    with Store.open(tmp_path / ".engine", now=clock) as store:
        yield Office(spec_file, store, clock)
