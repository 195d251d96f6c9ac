"""A message as internet mail (RFC 5322), which the mail channel sends and the file channel writes.

The standard library's EmailMessage encodes it. It raises an error for line breaks in headers, so header texts are made
a single line first: no alert may be lost because of that. The encoding is 7bit, so that a server without 8BITMIME does
not change the message.
"""

import hashlib
import re
from collections.abc import Sequence
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

from engine.errors import DeliveryError
from engine.formatting.control_characters import single_line
from engine.store import Attachment, OutboxMessage

MAIL_POLICY = SMTP.clone(cte_type="7bit")
HEADER_CHARACTERS = 250
"""Header texts are cut at this length: servers refuse lines of more than 998 octets."""

_ATOM = r"[A-Za-z0-9_!#$%&'*+/=?^`{|}~-]+"
_ADDRESS = re.compile(
    rf"""(?:(?P<name>"[^"<>]*"\s*|[^"<>@,;:]*)<)?(?P<user>{_ATOM}(?:\.{_ATOM})*)@(?P<domain>[\w-]+(?:\.[\w-]+)*)(?(name)>)"""
)


def parse_address(text: str) -> Address:
    """Parse one mail address, with or without a display name.

    The standard library's parser raises IndexError and other errors on mistyped addresses, so it is not used.

    Raises
    ------
    DeliveryError
        The text is not exactly one address.
    """
    found = _ADDRESS.fullmatch(text.strip())
    try:
        # Few servers accept letters outside ASCII in a domain, and fewer in the local part.
        domain = found["domain"].encode("idna").decode("ascii") if found else ""
    except UnicodeError:
        domain = ""
    if found is None or not domain:
        raise DeliveryError(
            f'"{single_line(text, HEADER_CHARACTERS)}" is not one mail address. Write name@example.com.'
        )
    return Address(single_line((found["name"] or "").strip().strip('"'), HEADER_CHARACTERS), found["user"], domain)


def build_mail(message: OutboxMessage, sender: str) -> EmailMessage:
    """Return `message` as mail from `sender`: a plain part, an HTML part with its pictures, then the attachments.

    A message that is sent again has the same Message-ID and Date. The recipients of `bcc` are not in any header.

    Raises
    ------
    DeliveryError
        The sender or a recipient is not a mail address.
    """
    from_ = parse_address(sender)
    letter = EmailMessage(policy=MAIL_POLICY)
    letter["From"] = from_
    for header, recipients in (("To", message.to), ("Cc", message.cc)):
        if recipients:
            letter[header] = [parse_address(text) for text in recipients]
    letter["Subject"] = single_line(message.subject, HEADER_CHARACTERS)
    letter["Date"] = message.created
    letter["Message-ID"] = f"<{message.id}@{from_.domain}>"
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(message.text)
    html = ""
    for attachment in sorted(message.attachments, key=is_html_part, reverse=True):
        content = attachment.content or b""
        if is_html_part(attachment):
            html = content.decode("utf-8")
            letter.add_alternative(html, subtype="html")
            continue
        main, _, sub = attachment.media_type.partition("/")
        content_id = create_content_id(message.id, attachment.name)
        if f"cid:{content_id}" in html and (page := letter.get_body(("related", "html"))) is not None:
            name = single_line(attachment.name, HEADER_CHARACTERS)
            page.add_related(
                content, maintype=main, subtype=sub, cid=f"<{content_id}>", filename=name, disposition="inline"
            )
            continue
        letter.add_attachment(
            content,
            maintype=main,
            subtype=sub,
            filename=single_line(attachment.name, HEADER_CHARACTERS),
            params={"charset": "utf-8"} if main == "text" else None,
        )
    return letter


def create_content_id(message_id: str, name: str) -> str:
    """Return the content id by which the HTML part refers to an attached picture, safe as a part of a URL."""
    digest = hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=8).hexdigest()
    return f"{digest}.{message_id}@engine"


def create_html_part(html: str) -> Attachment:
    """Return the HTML part of a message as the outbox stores it: as an attachment without a name."""
    return Attachment(name="", media_type="text/html", content=html.encode("utf-8"))


def list_files(message: OutboxMessage) -> list[Attachment]:
    """Return the attachments of a message without its HTML part."""
    return [attachment for attachment in message.attachments if not is_html_part(attachment)]


def add_left_out_files(text: str, files: Sequence[Attachment], reason: str) -> str:
    """Return the text of a message, with a note if there are files that its recipient does not get."""
    names = ", ".join(file.name for file in files)
    return f"{text}\n\n(Not attached, because {reason}: {names})" if files else text


def is_html_part(attachment: Attachment) -> bool:
    """Return whether an attachment is the HTML part of its message."""
    return not attachment.name
