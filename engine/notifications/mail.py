"""The mail channel: SMTP, encrypted unless the URL sets tls=none.

smtps:// is TLS from the first byte. smtp:// must switch to TLS by STARTTLS before anything is sent, except with
?tls=none or to this machine without ?ca=. "Encrypt if the server offers it" was rejected, because an attacker on the
connection can remove the offer and read the password. Certificates are verified, against the authorities of ?ca= if
given. An error quotes the reply of the server, never the user name or the password.

A reply 5xx to the sender, a recipient or the text is final (RFC 5321, 4.2.1): the same mail would be refused again, so
these recipients are given up. A refused login is not final: it concerns all mails, and is repaired without changing
them. A mail that is too large for the server (RFC 1870) is sent again at once, as text alone.
"""

import contextlib
import re
import smtplib
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from engine.errors import DeliveryError, UnreachableError
from engine.notifications.envelope import Envelope, RefusedError
from engine.notifications.mime import add_left_out_files, build_mail, list_files, parse_address
from engine.spec.resources.channels import MailChannel
from engine.spec.urls.smtp_url import SmtpServer

_TOO_LARGE = re.compile(r"552 (?!5\.2\.2)|5\d\d 5\.(3\.4|2\.3)\b")
"""Replies to a mail that is too large, also with the codes of RFC 3463; 5.2.2 is a mailbox that is full."""

Refusals = Mapping[str, tuple[int, bytes]]
"""For each refused address, the code and the text of the server's reply."""


def send(channel: MailChannel, post: Envelope) -> None:
    """Send a message through the SMTP server of the channel's URL, to the recipients that do not have it yet.

    Raises
    ------
    RefusedError
        The server has refused some recipients for good.
    UnreachableError
        The server cannot be reached, does not answer in time, or refuses the login; or the URL is wrong.
    DeliveryError
        The server did not accept the message for every recipient, but may accept it later.
    """
    server = _parse_url(post.url)
    message = post.message
    recipients = {parse_address(text).addr_spec: text for text in (*message.to, *message.cc, *message.bcc)}
    if not recipients:
        raise DeliveryError('the message has no recipient. Give the reporter a "to:".')
    settled = {*message.reached, *message.refused}
    waiting = {address: text for address, text in recipients.items() if text not in settled}
    letter = build_mail(message, post.sender)
    try:
        smtp = _open_connection(server, channel.timeout, post.folder, post.cuts)
        try:
            if server.user is not None:
                _log_in(smtp, server.user, server.password)
            refused = _send_letter(smtp, letter, post, list(waiting))
        finally:
            # The server has accepted the message: after an error while closing, it must not be sent again.
            with contextlib.suppress(smtplib.SMTPException, OSError):
                smtp.quit()
    except smtplib.SMTPRecipientsRefused as error:
        refused = error.recipients
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
        who = f"sender {post.sender}: " if isinstance(error, smtplib.SMTPSenderRefused) else ""
        words = f"{server.host}: {who}{_format_reply(error.smtp_code, error.smtp_error)}"
        if error.smtp_code == 530:  # the server requires a login
            raise UnreachableError(words) from None
        if _is_final(error.smtp_code):
            raise RefusedError(words, dict.fromkeys(waiting.values(), words), complete=True) from None
        raise DeliveryError(words) from None
    except smtplib.SMTPResponseException as error:
        raise UnreachableError(f"{server.host}: {_format_reply(error.smtp_code, error.smtp_error)}") from None
    except (smtplib.SMTPException, OSError) as error:
        # smtplib turns a timeout while reading into "connection closed".
        if isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):
            late = f"{server.host}:{server.port} did not answer in {channel.timeout:g} s"
            raise UnreachableError(late) from None
        if isinstance(error, smtplib.SMTPException):
            raise UnreachableError(f"{server.host}: {error}") from None
        raise UnreachableError(f"{server.host}:{server.port}: {error.strerror or error}") from None
    post.reached.extend(text for address, text in waiting.items() if address not in refused)
    if refused:
        _raise_refusals(server.host, waiting, refused)


def _send_letter(smtp: smtplib.SMTP, letter: EmailMessage, post: Envelope, recipients: Sequence[str]) -> Refusals:
    """Send the mail; if it is too large for the server, its text alone, with a note of the files that are left out."""
    sender, message = parse_address(post.sender).addr_spec, post.message
    try:
        return smtp.send_message(letter, sender, recipients)
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
        words = _format_reply(error.smtp_code, error.smtp_error)
        if not message.attachments or not _TOO_LARGE.match(words):
            raise
    text = add_left_out_files(message.text, list_files(message), "the mail server does not accept a mail of this size")
    refused = smtp.send_message(
        build_mail(replace(message, text=text, attachments=()), post.sender), sender, recipients
    )
    post.remarks.append(f"sent as text only, because the server refused the whole mail: {words}")
    return refused


def greet_mail_server(channel: MailChannel, url: str, folder: Path) -> str:
    """Connect to the server of the channel's URL and log in, without sending a mail; return what was done.

    Raises
    ------
    UnreachableError
        The server does not answer, or refuses the greeting or the login.
    """
    server = _parse_url(url)
    try:
        smtp = _open_connection(server, channel.timeout, folder, [])
        try:
            smtp.ehlo_or_helo_if_needed()
            if server.user is not None:
                _log_in(smtp, server.user, server.password)
        finally:
            with contextlib.suppress(smtplib.SMTPException, OSError):
                smtp.quit()
    except smtplib.SMTPResponseException as error:
        raise UnreachableError(f"{server.host}: {_format_reply(error.smtp_code, error.smtp_error)}") from None
    except (smtplib.SMTPException, OSError) as error:
        if isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):
            raise UnreachableError(f"{server.host}:{server.port} did not answer in {channel.timeout:g} s") from None
        problem = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        raise UnreachableError(f"{server.host}:{server.port}: {problem}") from None
    return "greeted and logged in" if server.user is not None else "greeted"


def _raise_refusals(host: str, waiting: Mapping[str, str], refused: Refusals) -> None:
    words = {address: f"{address}: {_format_reply(*reply)}" for address, reply in refused.items()}
    text = f"{host}: {'; '.join(words.values())}"
    final = {waiting[address]: f"{host}: {words[address]}" for address, (code, _) in refused.items() if _is_final(code)}
    raise RefusedError(text, final, complete=len(final) == len(refused)) if final else DeliveryError(text)


def _is_final(code: int) -> bool:
    return 500 <= code < 600


def describe(channel: MailChannel, url: str) -> str:
    """Return where messages go, without user name and password."""
    server = SmtpServer.parse(url)
    tls = {"implicit": "TLS", "starttls": "STARTTLS", "none": "not encrypted"}[server.tls]
    return f"mail from {channel.from_} through {server.host}:{server.port} ({tls})"


class _Connection(smtplib.SMTP):
    """An SMTP connection that another thread can close while this one waits for an answer."""

    def __init__(self, cuts: list[Callable[[], None]], *args: Any, **options: Any) -> None:
        cuts.append(self._cut)
        super().__init__(*args, **options)

    def _cut(self) -> None:
        if self.sock is not None:
            self.sock.shutdown(socket.SHUT_RDWR)


class _TlsConnection(_Connection, smtplib.SMTP_SSL):
    """Such a connection with TLS from the first byte."""


def _open_connection(server: SmtpServer, timeout: float, folder: Path, cuts: list[Callable[[], None]]) -> smtplib.SMTP:
    if server.tls == "none":
        return _Connection(cuts, server.host, server.port, timeout=timeout)
    try:
        context = ssl.create_default_context(cafile=None if server.ca is None else folder / server.ca)
    except (OSError, ssl.SSLError) as error:
        raise UnreachableError(f"ca={server.ca}: {error.strerror or error}") from None
    if server.tls == "implicit":
        return _TlsConnection(cuts, server.host, server.port, timeout=timeout, context=context)
    smtp = _Connection(cuts, server.host, server.port, timeout=timeout)
    try:
        smtp.starttls(context=context)
    except BaseException:
        smtp.close()
        raise
    return smtp


def _parse_url(url: str) -> SmtpServer:
    try:
        return SmtpServer.parse(url)
    except DeliveryError as error:
        raise UnreachableError(str(error)) from None


def _log_in(smtp: smtplib.SMTP, user: str, password: str) -> None:
    if (user + password).isascii():
        smtp.login(user, password)
        return
    # smtplib encodes ASCII only; the mechanism PLAIN is UTF-8 (RFC 4616).
    smtp.ehlo_or_helo_if_needed()
    code, reply = smtp.docmd("AUTH", "PLAIN " + b64encode(f"\0{user}\0{password}".encode()).decode("ascii"))
    if code != 235:
        raise smtplib.SMTPAuthenticationError(code, reply)


def _format_reply(code: int, reply: bytes | str) -> str:
    """Return a server's reply on one line of at most 500 characters."""
    text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply
    return f"{code} {' '.join(text.split())[:500]}"
