"""What is sent: a mail server that keeps it, and the folder of a channel of files."""

from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from .notifications.mail_server import MailServer
from .ports import find_free_port


class Mailbox:
    """What a mail server has taken; `refusal` is its answer to each recipient, if it is set."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.mails: list[EmailMessage] = []
        self.envelopes: list[Envelope] = []
        self.refusal = ""

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.rcpt_tos.append(address)
        return self.refusal or "250 ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        self.envelopes.append(envelope)
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 taken"


def read_text(mail: EmailMessage) -> str:
    """Return the plain text of a mail, with the line ends of this machine."""
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def read_sent(folder: Path) -> str:
    """Return the texts of all messages that a channel of files has written to a folder."""
    return "".join(path.read_text() for path in folder.rglob("*") if path.is_file())


@contextmanager
def run_mailbox(port: int | None = None, **options: object) -> Iterator[Mailbox]:
    """Serve a mailbox on a port, or on a free one; the options are those of aiosmtpd's Controller."""
    mailbox = Mailbox(find_free_port() if port is None else port)
    server = MailServer(mailbox, hostname="127.0.0.1", port=mailbox.port, **options)
    server.start()
    try:
        yield mailbox
    finally:
        server.stop()
