"""A message as internet mail (RFC 5322): what the mail channel sends and what the file channel writes.

The standard library's EmailMessage does the encoding. It refuses line breaks in headers by raising, and an alert
must not be lost for one, so what goes into a header is made a single line first. Everything is encoded to seven bits:
a server that does not speak 8BITMIME changes nothing.
"""

import hashlib
import re
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

from engine.errors import DeliveryError
from engine.store.records import Attachment, OutboxMessage

POLICY = SMTP.clone(cte_type="7bit")
HEADER_CHARACTERS = 250
"""A header text is cut here: servers refuse lines of more than 998 octets."""


_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

_ATOM = r"[A-Za-z0-9_!#$%&'*+/=?^`{|}~-]+"
_ADDRESS = re.compile(
    rf"""(?:(?P<name>"[^"<>]*"\s*|[^"<>@,;:]*)<)?(?P<user>{_ATOM}(?:\.{_ATOM})*)@(?P<domain>[\w-]+(?:\.[\w-]+)*)(?(name)>)"""
)


def clean(text: str) -> str:
    """Return `text` without control characters other than tabs and line ends, and without halves of characters."""
    return _CONTROL.sub(" ", text.replace("\r\n", "\n"))


def single_line(text: str, limit: int = HEADER_CHARACTERS) -> str:
    """Return `text` on one line without control characters, at most `limit` characters."""
    line = " ".join(clean(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def address(text: str) -> Address:
    """Read one mail address, with or without a display name.

    The standard library's parser raises IndexError and worse on what people mistype, so it never sees it.

    Raises
    ------
    DeliveryError
        It is not exactly one address.
    """
    found = _ADDRESS.fullmatch(text.strip())
    try:
        # Servers that take other letters than these in a domain are few, and in the part before it fewer.
        domain = found["domain"].encode("idna").decode("ascii") if found else ""
    except UnicodeError:
        domain = ""
    if found is None or not domain:
        raise DeliveryError(f'"{single_line(text)}" is not one mail address. Write name@example.com.')
    return Address(single_line((found["name"] or "").strip().strip('"')), found["user"], domain)


def compose_letter(message: OutboxMessage, sender: str) -> EmailMessage:
    """Return `message` as mail from `sender`: a plain and an HTML part with the pictures in it, then the attachments.

    The same message gives the same Message-ID and Date however often it is sent.

    Raises
    ------
    DeliveryError
        The sender or a recipient is not a mail address.
    """
    from_ = address(sender)
    letter = EmailMessage(policy=POLICY)
    letter["From"] = from_
    if message.to:
        letter["To"] = [address(text) for text in message.to]
    letter["Subject"] = single_line(message.subject)
    letter["Date"] = message.created
    letter["Message-ID"] = f"<{message.id}@{from_.domain}>"
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(message.text)
    shows = ""
    for attachment in sorted(message.attachments, key=is_html, reverse=True):
        content = attachment.content or b""
        if is_html(attachment):
            shows = content.decode("utf-8")
            letter.add_alternative(shows, subtype="html")
            continue
        main, _, sub = attachment.media_type.partition("/")
        shown_as = content_id(message.id, attachment.name)
        if f"cid:{shown_as}" in shows and (page := letter.get_body(("related", "html"))) is not None:
            name = single_line(attachment.name)
            page.add_related(
                content, maintype=main, subtype=sub, cid=f"<{shown_as}>", filename=name, disposition="inline"
            )
            continue
        letter.add_attachment(
            content,
            maintype=main,
            subtype=sub,
            filename=single_line(attachment.name),
            params={"charset": "utf-8"} if main == "text" else None,
        )
    return letter


def content_id(message_id: str, name: str) -> str:
    """Return by what name the HTML form shows an attached picture: it is an URL's part, whatever the file is called."""
    digest = hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=8).hexdigest()
    return f"{digest}.{message_id}@engine"


def html_form(html: str) -> Attachment:
    """Return a message's HTML form as the outbox keeps it: an attachment without a name."""
    return Attachment(name="", media_type="text/html", content=html.encode("utf-8"))


def is_html(attachment: Attachment) -> bool:
    """Return whether this is the message's HTML form, and not a file."""
    return not attachment.name
