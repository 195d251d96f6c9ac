"""The mail channel: SMTP, encrypted unless the URL sets tls=none.

smtps:// is TLS from the first byte. smtp:// must switch to TLS by STARTTLS before anything is sent, except with
?tls=none or to this machine without ?ca=. "Encrypt if the server offers it" was rejected because an attacker between
the two can remove the offer and read the password. Certificates are verified, against the authorities of ?ca= if
given. An error quotes the reply of the server, never the user name or the password.
"""

import contextlib
import smtplib
import ssl
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from engine.errors import DeliveryError, UnreachableError
from engine.reporting.envelope import Envelope
from engine.reporting.mime import build_mail, parse_address
from engine.spec.resources.channels import MailChannel

URL_HELP = "Write smtp://user:password@host:587 or smtps://user:password@host, special characters percent-encoded."


class RefusedError(DeliveryError):
    """The server accepted the message for some recipients only; `refused` are the others."""

    def __init__(self, text: str, refused: tuple[str, ...]) -> None:
        super().__init__(text)
        self.refused = refused


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """An SMTP server as its URL describes it. `tls` is implicit, starttls or none."""

    host: str
    port: int
    tls: str
    user: str | None
    password: str
    ca: str | None

    @classmethod
    def parse(cls, url: str) -> "SmtpServer":
        """Parse smtp://user:password@host:port?tls=starttls|none&ca=path or smtps://….

        An error never quotes a wrong URL: an unescaped character can move a part of the password anywhere in it.

        Raises
        ------
        DeliveryError
            The URL is wrong.
        """
        try:
            parts = urlsplit(url)
            port, host = parts.port, parts.hostname
            (host or "").encode("idna")
            query = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        except ValueError:
            raise DeliveryError(f"the mail URL cannot be read. {URL_HELP}") from None
        if parts.scheme not in ("smtp", "smtps"):
            raise DeliveryError(f"the mail URL does not start with smtp:// or smtps://. {URL_HELP}")
        if not host or parts.path.strip("/") or parts.fragment:
            raise DeliveryError(f"the mail URL must hold a host, and no path. {URL_HELP}")
        if query.keys() - {"tls", "ca"} or any(len(values) > 1 for values in query.values()):
            raise DeliveryError(f"after ? the mail URL may hold tls and ca, once each. {URL_HELP}")
        tls = cls._choose_tls(parts, host, query.get("tls", [None])[0], verified="ca" in query)
        return cls(
            host=host,
            port=port or {"implicit": 465, "starttls": 587, "none": 25}[tls],
            tls=tls,
            user=None if parts.username is None else unquote(parts.username),
            password=unquote(parts.password or ""),
            ca=query.get("ca", [None])[0],
        )

    @staticmethod
    def _choose_tls(parts: SplitResult, host: str, asked: str | None, *, verified: bool) -> str:
        if parts.scheme == "smtps":
            if asked is not None:
                raise DeliveryError("smtps:// is TLS from the start: leave tls= out, or write smtp://.")
            return "implicit"
        if asked is None:
            return "none" if _is_loopback(host) and not verified else "starttls"
        if asked not in ("starttls", "none"):
            raise DeliveryError("tls= of the mail URL is starttls or none.")
        return asked


def send(channel: MailChannel, post: Envelope) -> None:
    """Send a message through the SMTP server of the channel's URL.

    Raises
    ------
    RefusedError
        The server accepted the message for some recipients and refused others.
    UnreachableError
        The server cannot be reached, or does not answer in time.
    DeliveryError
        The server accepted the message for no recipient.
    """
    server = SmtpServer.parse(post.url)
    recipients = {parse_address(text).addr_spec: text for text in post.message.to}
    if not recipients:
        raise DeliveryError('the message has no recipient. Give the reporter a "to:".')
    letter = build_mail(post.message, post.sender)
    try:
        smtp = _open_connection(server, channel.timeout, post.folder)
        try:
            if server.user is not None:
                _log_in(smtp, server.user, server.password)
            refused = smtp.send_message(letter, parse_address(post.sender).addr_spec, list(recipients))
        finally:
            # The server has accepted the message: an error while closing must not send it again.
            with contextlib.suppress(smtplib.SMTPException, OSError):
                smtp.quit()
    except smtplib.SMTPRecipientsRefused as error:
        raise DeliveryError(f"{server.host}: {_format_refusals(error.recipients.items())}") from None
    except smtplib.SMTPSenderRefused as error:
        raise DeliveryError(
            f"{server.host}: sender {post.sender}: {error.smtp_code} {_decode_reply(error.smtp_error)}"
        ) from None
    except smtplib.SMTPResponseException as error:
        raise DeliveryError(f"{server.host}: {error.smtp_code} {_decode_reply(error.smtp_error)}") from None
    except (smtplib.SMTPException, OSError) as error:
        # smtplib turns a timeout while reading into "connection closed".
        if isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):
            late = f"{server.host}:{server.port} did not answer in {channel.timeout:g} s"
            raise UnreachableError(late) from None
        if isinstance(error, smtplib.SMTPException):
            raise DeliveryError(f"{server.host}: {error}") from None
        raise UnreachableError(f"{server.host}:{server.port}: {error.strerror or error}") from None
    if refused:
        raise RefusedError(
            f"{server.host}: {_format_refusals(refused.items())}", tuple(recipients[spec] for spec in refused)
        )


def describe(channel: MailChannel, url: str) -> str:
    """Return where messages go, without user name and password."""
    server = SmtpServer.parse(url)
    tls = {"implicit": "TLS", "starttls": "STARTTLS", "none": "not encrypted"}[server.tls]
    return f"mail from {channel.from_} through {server.host}:{server.port} ({tls})"


def _open_connection(server: SmtpServer, timeout: float, folder: Path) -> smtplib.SMTP:
    if server.tls == "none":
        return smtplib.SMTP(server.host, server.port, timeout=timeout)
    try:
        context = ssl.create_default_context(cafile=None if server.ca is None else folder / server.ca)
    except (OSError, ssl.SSLError) as error:
        raise DeliveryError(f"ca={server.ca}: {error.strerror or error}") from None
    if server.tls == "implicit":
        return smtplib.SMTP_SSL(server.host, server.port, timeout=timeout, context=context)
    smtp = smtplib.SMTP(server.host, server.port, timeout=timeout)
    try:
        smtp.starttls(context=context)
    except BaseException:
        smtp.close()
        raise
    return smtp


def _log_in(smtp: smtplib.SMTP, user: str, password: str) -> None:
    if (user + password).isascii():
        smtp.login(user, password)
        return
    # smtplib encodes ASCII only; the mechanism PLAIN is UTF-8 (RFC 4616).
    smtp.ehlo_or_helo_if_needed()
    code, reply = smtp.docmd("AUTH", "PLAIN " + b64encode(f"\0{user}\0{password}".encode()).decode("ascii"))
    if code != 235:
        raise smtplib.SMTPAuthenticationError(code, reply)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _format_refusals(refused: Iterable[tuple[str, tuple[int, bytes]]]) -> str:
    return "; ".join(f"{recipient}: {code} {_decode_reply(reply)}" for recipient, (code, reply) in refused)


def _decode_reply(reply: bytes | str) -> str:
    """Return a server's reply on one line of at most 500 characters."""
    text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply
    return " ".join(text.split())[:500]
