"""The file channel: one mail a file, whole, once."""

from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from engine.errors import DeliveryError
from engine.notifications import file
from engine.notifications.envelope import Envelope
from engine.notifications.mime import create_html_part
from engine.spec.resources.channels import FileChannel
from engine.store import Attachment, OutboxMessage

from .conftest import limit_files

MESSAGE = OutboxMessage(
    id="20261123-013800-123456-7f3a9c1b",
    run=None,
    reporter="r",
    channel="files",
    to=(),
    subject="Überwachung",
    text="Données\n",
    created=datetime(2026, 11, 23, 3, 38, tzinfo=timezone(timedelta(hours=2))),
    attachments=(create_html_part("<p>Données</p>"), Attachment("batch.csv", "text/csv", b"a\n1\n")),
)
NAME = "20261123T013800Z-20261123-013800-123456-7f3a9c1b.eml"


def send(folder: Path, path: str = "outbox", message: OutboxMessage = MESSAGE) -> None:
    file.send(FileChannel(path=path), Envelope(message, "", folder, folder, "engine@localhost", None))


def test_a_message_becomes_a_mail_that_mail_programs_read(tmp_path):
    send(tmp_path, "deep/outbox")
    [written] = (tmp_path / "deep" / "outbox").iterdir()
    assert written.name == NAME
    mail = message_from_bytes(written.read_bytes(), policy=policy.default)
    assert mail["Subject"] == "Überwachung"
    assert mail["From"] == "engine@localhost"
    assert mail["To"] is None
    assert mail["Date"].datetime == datetime(2026, 11, 23, 1, 38, tzinfo=UTC)
    assert mail["Message-ID"] == f"<{MESSAGE.id}@localhost>"
    assert [part.get_content_type() for part in mail.walk()] == [
        "multipart/mixed", "multipart/alternative", "text/plain", "text/html", "text/csv"
    ]  # fmt: skip


def test_sending_again_changes_nothing(tmp_path):
    send(tmp_path)
    [written] = (tmp_path / "outbox").iterdir()
    before = written.read_bytes(), written.stat().st_mtime_ns
    send(tmp_path)
    assert list((tmp_path / "outbox").iterdir()) == [written]
    assert (written.read_bytes(), written.stat().st_mtime_ns) == before


def test_what_a_killed_sender_has_left_of_the_message_is_removed(tmp_path):
    outbox = tmp_path / "outbox"
    outbox.mkdir()
    other = outbox / ".other.eml.12"
    for left in (outbox / f".{NAME}.4711", other):
        left.write_bytes(b"half of it")
    send(tmp_path)
    assert sorted(outbox.iterdir()) == [other, outbox / NAME]


def test_an_absolute_folder_is_taken_as_it_is(tmp_path):
    send(Path("/nowhere"), str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "outbox").write_text("in the way")
    with pytest.raises(DeliveryError, match=r"^cannot write into .*/outbox: (File exists|Not a directory)$"):
        send(tmp_path)


def test_a_full_disk_leaves_no_half_message(tmp_path):
    with limit_files(), pytest.raises(DeliveryError, match="File too large"):
        send(tmp_path)
    assert list((tmp_path / "outbox").iterdir()) == []
