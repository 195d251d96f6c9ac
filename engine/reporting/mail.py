"""The mail channel: SMTP, encrypted unless told otherwise.

smtps:// is TLS from the first byte. smtp:// must reach TLS by STARTTLS before anything is said, except with ?tls=none
or to this very machine without ?ca=: "encrypt if the server offers it" was refused, because whoever sits in between
takes the offer away and reads the password. Certificates are verified, against the authorities of ?ca= if given.
A failure speaks in the server's own words; user and password are in none of them.
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

from engine.errors import DeliveryError
from engine.reporting.letter import address, compose_letter
from engine.reporting.post import Post
from engine.spec.resources.channels import MailChannel

HELP = "Write smtp://user:password@host:587 or smtps://user:password@host, special characters percent-encoded."


class RefusedError(DeliveryError):
    """The server took the message for some recipients and refused others: `refused` are the ones still to be served."""

    def __init__(self, text: str, refused: tuple[str, ...]) -> None:
        super().__init__(text)
        self.refused = refused


@dataclass(frozen=True, slots=True)
class Server:
    """An SMTP server, as its URL says. `tls` is implicit, starttls or none."""

    host: str
    port: int
    tls: str
    user: str | None
    password: str
    ca: str | None

    @classmethod
    def parse(cls, url: str) -> "Server":
        """Read smtp://user:password@host:port?tls=starttls|none&ca=path or smtps://….

        A wrong URL is never quoted: an unescaped character may have moved a part of the password anywhere in it.

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
            raise DeliveryError(f"the mail URL cannot be read. {HELP}") from None
        if parts.scheme not in ("smtp", "smtps"):
            raise DeliveryError(f"the mail URL does not start with smtp:// or smtps://. {HELP}")
        if not host or parts.path.strip("/") or parts.fragment:
            raise DeliveryError(f"the mail URL must hold a host, and no path. {HELP}")
        if query.keys() - {"tls", "ca"} or any(len(values) > 1 for values in query.values()):
            raise DeliveryError(f"after ? the mail URL may hold tls and ca, once each. {HELP}")
        tls = cls._tls(parts, host, query.get("tls", [None])[0], verified="ca" in query)
        return cls(
            host=host,
            port=port or {"implicit": 465, "starttls": 587, "none": 25}[tls],
            tls=tls,
            user=None if parts.username is None else unquote(parts.username),
            password=unquote(parts.password or ""),
            ca=query.get("ca", [None])[0],
        )

    @staticmethod
    def _tls(parts: SplitResult, host: str, asked: str | None, *, verified: bool) -> str:
        if parts.scheme == "smtps":
            if asked is not None:
                raise DeliveryError("smtps:// is TLS from the start: leave tls= out, or write smtp://.")
            return "implicit"
        if asked is None:
            return "none" if _is_this_machine(host) and not verified else "starttls"
        if asked not in ("starttls", "none"):
            raise DeliveryError("tls= of the mail URL is starttls or none.")
        return asked


def send(channel: MailChannel, post: Post) -> None:
    """Send a message through the SMTP server of the channel's URL.

    Raises
    ------
    RefusedError
        Some recipients were served and others refused.
    DeliveryError
        Nobody was served.
    """
    server = Server.parse(post.url)
    recipients = {address(text).addr_spec: text for text in post.message.to}
    if not recipients:
        raise DeliveryError('there is nobody to send to. Give the reporter a "to:".')
    letter = compose_letter(post.message, post.sender)
    try:
        smtp = _connect(server, channel.timeout, post.folder)
        try:
            if server.user is not None:
                _login(smtp, server.user, server.password)
            refused = smtp.send_message(letter, address(post.sender).addr_spec, list(recipients))
        finally:
            # What was taken stays taken: a bad farewell must not make us send it again.
            with contextlib.suppress(smtplib.SMTPException, OSError):
                smtp.quit()
    except smtplib.SMTPRecipientsRefused as error:
        raise DeliveryError(f"{server.host}: {_refusals(error.recipients.items())}") from None
    except smtplib.SMTPSenderRefused as error:
        raise DeliveryError(
            f"{server.host}: sender {post.sender}: {error.smtp_code} {_text(error.smtp_error)}"
        ) from None
    except smtplib.SMTPResponseException as error:
        raise DeliveryError(f"{server.host}: {error.smtp_code} {_text(error.smtp_error)}") from None
    except (smtplib.SMTPException, OSError) as error:
        # smtplib makes a closed connection of a timeout that it meets while it reads.
        if isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):
            late = f"{server.host}:{server.port} did not answer in {channel.timeout:g} s"
            raise DeliveryError(late) from None
        if isinstance(error, smtplib.SMTPException):
            raise DeliveryError(f"{server.host}: {error}") from None
        raise DeliveryError(f"{server.host}:{server.port}: {error.strerror or error}") from None
    if refused:
        raise RefusedError(f"{server.host}: {_refusals(refused.items())}", tuple(recipients[spec] for spec in refused))


def describe(channel: MailChannel, url: str) -> str:
    """Return where messages go, for people: no user, no password."""
    server = Server.parse(url)
    tls = {"implicit": "TLS", "starttls": "STARTTLS", "none": "not encrypted"}[server.tls]
    return f"mail from {channel.from_} through {server.host}:{server.port} ({tls})"


def _connect(server: Server, timeout: float, folder: Path) -> smtplib.SMTP:
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


def _login(smtp: smtplib.SMTP, user: str, password: str) -> None:
    if (user + password).isascii():
        smtp.login(user, password)
        return
    # smtplib writes nothing but ASCII; PLAIN is UTF-8 (RFC 4616).
    smtp.ehlo_or_helo_if_needed()
    code, answer = smtp.docmd("AUTH", "PLAIN " + b64encode(f"\0{user}\0{password}".encode()).decode("ascii"))
    if code != 235:
        raise smtplib.SMTPAuthenticationError(code, answer)


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _refusals(refused: Iterable[tuple[str, tuple[int, bytes]]]) -> str:
    return "; ".join(f"{recipient}: {code} {_text(answer)}" for recipient, (code, answer) in refused)


def _text(answer: bytes | str) -> str:
    """Return a server's answer on one line, bounded."""
    text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
    return " ".join(text.split())[:500]
