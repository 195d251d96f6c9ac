"""Messages as mail: whatever is in a name or a variable, it stays where it was put."""

import dataclasses
from datetime import UTC, datetime
from email import message_from_bytes, policy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import DeliveryError
from engine.formatting.control_characters import remove_controls, single_line
from engine.notifications.mime import HEADER_CHARACTERS, build_mail, create_html_part, parse_address
from engine.store import Attachment, OutboxMessage

NASTY = st.text() | st.text(alphabet="a@.\r\n\t\0 :;<>\"'=?,\\\u2028\u0085\ud800é📈Bcc", max_size=400)
HEADERS = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"]


def message(**changes: Any) -> OutboxMessage:
    plain = OutboxMessage(
        id="20261123-013800-123456-7f3a9c1b",
        run=None,
        reporter="reporter",
        channel="channel",
        to=("a@example.com",),
        subject="subject",
        text="text",
        created=datetime(2026, 11, 23, tzinfo=UTC),
        attachments=(create_html_part("<p>text</p>"),),
    )
    return dataclasses.replace(plain, **changes)


@given(subject=NASTY, text=NASTY, name=NASTY, html=NASTY)
def test_no_text_gets_out_of_its_place(subject, text, name, html):
    attachments = (create_html_part(remove_controls(html)), Attachment(name or "file", "text/csv", b"a\n"))
    sent = message(subject=subject, text=remove_controls(text), attachments=attachments)
    written = bytes(build_mail(sent, "b@example.com"))
    read = message_from_bytes(written, policy=policy.default)
    assert read.keys() == HEADERS
    assert read["To"] == "a@example.com"
    assert read["Subject"] == single_line(subject, HEADER_CHARACTERS)
    body, laid_out, attachment = (part for part in read.walk() if not part.is_multipart())
    assert body.get_content().replace("\r\n", "\n").rstrip("\n") == remove_controls(text).rstrip("\n")
    assert laid_out.get_content_type() == "text/html"
    assert attachment.get_content().splitlines() == ["a"]


ADDRESSES = st.from_regex(r"\A[\w .\"<>]{0,20}<?[\w.'+-]{1,20}@[\w.-]{1,20}>?\Z")


@given(text=NASTY | ADDRESSES)
def test_an_address_is_read_or_refused_and_never_more_than_one(text):
    try:
        found = parse_address(text)
    except DeliveryError:
        return
    assert found.addr_spec.isascii()
    assert found.username in text
    letter = message_from_bytes(bytes(build_mail(message(to=(text,)), text)), policy=policy.default)
    assert letter.keys() == ["From", "To", *HEADERS[2:]]
    [read] = letter["To"].addresses
    assert read.addr_spec == found.addr_spec
    # The standard library may put a space into a long name where it folds it.
    assert "".join(read.display_name.split()) == "".join(found.display_name.split())


@pytest.mark.parametrize(
    ("text", "name", "spec"),
    [
        ("a@example.com", "", "a@example.com"),
        (" a.b+c@example.com ", "", "a.b+c@example.com"),
        ("Ann <a@example.com>", "Ann", "a@example.com"),
        ("<a@localhost>", "", "a@localhost"),
        ("Jürg <juerg@example.com>", "Jürg", "juerg@example.com"),
        ("a@bücher.example", "", "a@xn--bcher-kva.example"),
        ('"Müller, Ann" <a@example.com>', "Müller, Ann", "a@example.com"),
    ],
)
def test_addresses_as_people_write_them(text, name, spec):
    assert (parse_address(text).display_name, parse_address(text).addr_spec) == (name, spec)


def test_a_long_line_is_cut():
    assert single_line("a\r\n b\tc") == "a b c"
    assert single_line("x" * 300, HEADER_CHARACTERS) == "x" * 249 + "…"
