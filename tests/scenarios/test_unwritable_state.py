"""A run that cannot record its start, a step or its end tells so by its reporters, and exits 3 naming the folder."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from ..notifications.mail_server import MailServer  # noqa: TID252 - one mail server for all tests

ENGINE = Path(sys.executable).with_name("engine")

SPEC = """
    channels: {ops: {kind: mail, url: "smtp://127.0.0.1:PORT?tls=none", from: engine@example.com}}
    scenarios:
      nightly:
        steps:
          - {name: first, kind: python, function: "mine:FUNCTION"}
        reporters:
          - {name: failed, channel: ops, to: [ops@example.com], run_condition: "outcome == 'CONDITION'"}
"""
MODULE = """
    import os, pathlib, resource

    def limit():
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        return "WARNING", "mind the gap"

    def fill():
        with open("ballast", "wb", buffering=0) as ballast:
            try:
                while ballast.write(b"0" * 512):
                    pass
            except OSError:
                pass

    def nothing():
        pass
"""


class Inbox:
    """Keeps what arrives."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - its name
        assert isinstance(envelope.content, bytes)
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))  # type: ignore[arg-type]
        return "250 taken"

    def read(self) -> tuple[str, str]:
        """Return subject and text of the only mail."""
        (mail,) = self.mails
        body = mail.get_body(("plain",))
        assert body is not None
        return str(mail["Subject"]), " ".join(body.get_content().split())


@pytest.fixture
def inbox() -> Iterator[tuple[Inbox, int]]:
    inbox = Inbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    server = MailServer(inbox, hostname="127.0.0.1", port=port)
    server.start()
    yield inbox, port
    server.stop()


def engine_run(folder: Path, *before: str) -> subprocess.CompletedProcess[str]:
    """Run the project; the program `before` starts the engine."""
    command = [*before, ENGINE, "run", "project.yaml"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def project(
    spec: Callable[[str], Path], module: Callable[[str], None], inbox: tuple[Inbox, int], tmp_path: Path
) -> Callable[[str, str], Path]:
    module(MODULE)

    def write(function: str, condition: str) -> Path:
        text = SPEC.replace("PORT", str(inbox[1])).replace("FUNCTION", function).replace("CONDITION", condition)
        return spec(text).parent

    return write


@pytest.mark.parametrize("condition", ["ABORTED", "WARNING"])
def test_a_run_whose_end_cannot_be_written_tells_it_by_mail(
    condition: str, project: Callable[[str, str], Path], inbox: tuple[Inbox, int]
) -> None:
    """The limit on the size of files works without rights and without a file system of its own."""
    folder = project("limit", condition)
    told = engine_run(folder)
    assert told.returncode == 3, told.stdout + told.stderr
    assert str(folder / ".engine" / "test") in told.stderr
    assert "Traceback" not in told.stderr
    subject, text = inbox[0].read()
    assert subject == f"nightly: {condition}"
    assert "this run could not be recorded: state folder" in text


def test_the_next_run_marks_it_and_tells_again(project: Callable[[str, str], Path], inbox: tuple[Inbox, int]) -> None:
    engine_run(project("limit", "ABORTED"))
    inbox[0].mails.clear()
    told = engine_run(project("nothing", "ABORTED"))
    assert told.returncode == 0, told.stderr
    subject, text = inbox[0].read()
    assert subject == "nightly: ABORTED"
    assert "this run never ended: it was killed or has crashed" in text


def test_a_run_whose_state_cannot_be_opened_tells_it_by_mail(
    project: Callable[[str, str], Path], inbox: tuple[Inbox, int]
) -> None:
    folder = project("nothing", "ABORTED")
    (folder / ".engine").mkdir()
    (folder / ".engine" / "test").write_text("a file where the folder should be")
    told = engine_run(folder)
    assert told.returncode == 3
    assert str(folder / ".engine" / "test") in told.stderr
    assert "nothing" not in told.stdout
    _, text = inbox[0].read()
    assert "this run could not be recorded: state folder" in text
    assert (folder / ".engine" / "test").is_file()


def test_a_log_that_cannot_be_written_does_not_end_the_run_but_is_told(
    project: Callable[[str, str], Path], inbox: tuple[Inbox, int], module: Callable[[str], None]
) -> None:
    folder = project("break_log", "SUCCESS")
    module(
        MODULE
        + """
    def break_log():
        (run,) = pathlib.Path(".engine/test/runs").iterdir()
        os.remove(run / "log.txt")
        (run / "log.txt").mkdir()
"""
    )
    told = engine_run(folder)
    assert told.returncode == 3
    assert "log.txt cannot be written: Is a directory; the run goes on without it" in told.stderr
    assert "is not complete" in told.stderr
    assert str(folder / ".engine" / "test") in told.stderr
    assert inbox[0].read()[0] == "nightly: SUCCESS"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize("full_before", [False, True])
def test_a_full_disk_is_told_by_mail(
    full_before: bool, project: Callable[[str, str], Path], inbox: tuple[Inbox, int], small_disk: Path
) -> None:
    folder = project("nothing", "ABORTED")
    for name in ("project.yaml", "mine.py"):
        (small_disk / name).write_bytes((folder / name).read_bytes())
    assert engine_run(small_disk).returncode == 0
    assert inbox[0].mails == []
    if full_before:
        with (small_disk / "ballast").open("wb", buffering=0) as ballast:
            try:
                while ballast.write(b"0" * 512):
                    pass
            except OSError:
                pass
    else:
        text = (small_disk / "project.yaml").read_text()
        (small_disk / "project.yaml").write_text(text.replace("mine:nothing", "mine:fill"))
    told = engine_run(small_disk)
    assert told.returncode == 3, told.stdout + told.stderr
    assert "the disk is full" in told.stderr
    assert str(small_disk / ".engine" / "test") in told.stderr
    _, said = inbox[0].read()
    assert "the disk is full" in said


def test_who_may_not_write_the_state_is_told_by_mail(
    project: Callable[[str, str], Path], inbox: tuple[Inbox, int]
) -> None:
    folder = project("nothing", "ABORTED")
    assert engine_run(folder).returncode == 0
    # Without its capabilities even root may only write what the file modes allow.
    powerless = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()
    if powerless and subprocess.run([*powerless, "true"], check=False, capture_output=True).returncode:
        pytest.skip("root may write everywhere, and setpriv cannot take that right away here")
    for path in [*(folder / ".engine").rglob("*"), folder / ".engine"]:
        path.chmod(path.stat().st_mode & ~0o222)
    try:
        told = engine_run(folder, *powerless)
    finally:
        for path in [folder / ".engine", *(folder / ".engine").rglob("*")]:
            path.chmod(path.stat().st_mode | 0o200)
    assert told.returncode == 3
    assert "cannot be written" in told.stderr
    assert "this run could not be recorded" in inbox[0].read()[1]
