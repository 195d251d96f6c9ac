"""Messages as mail: whatever is in a name or a variable, it stays where it was put."""

from datetime import UTC, datetime
from email import message_from_bytes, policy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import DeliveryError
from engine.reporting.letter import address, clean, compose_letter, html_form, single_line
from engine.store import Attachment, OutboxMessage

NASTY = st.text() | st.text(alphabet="a@.\r\n\t\0 :;<>\"'=?,\\\u2028\u0085\ud800é📈Bcc", max_size=400)
HEADERS = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"]


@settings(deadline=None)
@given(subject=NASTY, text=NASTY, name=NASTY, html=NASTY)
def test_no_text_gets_out_of_its_place(subject, text, name, html):
    message = OutboxMessage(
        id="20261123-013800-123456-7f3a9c1b",
        run=None,
        reporter="reporter",
        channel="channel",
        to=("a@example.com",),
        subject=subject,
        text=clean(text),
        created=datetime(2026, 11, 23, tzinfo=UTC),
        attachments=(html_form(clean(html)), Attachment(name or "file", "text/csv", b"a\n")),
    )
    written = bytes(compose_letter(message, "b@example.com"))
    read = message_from_bytes(written, policy=policy.default)
    assert read.keys() == HEADERS
    assert read["To"] == "a@example.com"
    assert single_line(read["Subject"]) == single_line(subject)
    body, laid_out, attachment = (part for part in read.walk() if not part.is_multipart())
    assert body.get_content().replace("\r\n", "\n").rstrip("\n") == clean(text).rstrip("\n")
    assert laid_out.get_content_type() == "text/html"
    assert attachment.get_content() == "a\r\n" or attachment.get_content() == "a\n"


@settings(deadline=None)
@given(text=NASTY)
def test_an_address_is_read_or_refused_and_never_more_than_one(text):
    try:
        found = address(text)
    except DeliveryError:
        return
    assert "\n" not in str(found)
    assert "\r" not in str(found)
    assert found.addr_spec.count("@") == 1
    assert found.addr_spec in text


@pytest.mark.parametrize(
    ("text", "name", "spec"),
    [
        ("a@example.com", "", "a@example.com"),
        (" a.b+c@example.com ", "", "a.b+c@example.com"),
        ("Ann <a@example.com>", "Ann", "a@example.com"),
        ("<a@localhost>", "", "a@localhost"),
        ('"Müller, Ann" <a@example.com>', "Müller, Ann", "a@example.com"),
    ],
)
def test_addresses_as_people_write_them(text, name, spec):
    assert (address(text).display_name, address(text).addr_spec) == (name, spec)


def test_a_long_line_is_cut():
    assert single_line("a\r\n b\tc") == "a b c"
    assert single_line("x" * 300) == "x" * 249 + "…"
