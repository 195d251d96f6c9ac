"""A run that cannot record its start, a step or its end tells so by its reporters, and exits 3 naming the folder."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..command_line import ENGINE
from ..mailboxes import Mailbox, read_text
from ..permissions import find_powerless
from ..small_disks import fill_disk, mount_small_disk

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


def read_mail(mailbox: Mailbox) -> tuple[str, str]:
    """Return subject and text of the only mail."""
    (mail,) = mailbox.mails
    return str(mail["Subject"]), " ".join(read_text(mail).split())


def engine_run(folder: Path, *before: str) -> subprocess.CompletedProcess[str]:
    """Run the project; the program `before` starts the engine."""
    command = [*before, ENGINE, "run", "project.yaml"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def project(
    spec: Callable[[str], Path], module: Callable[[str], None], mailbox: Mailbox, tmp_path: Path
) -> Callable[[str, str], Path]:
    module(MODULE)

    def write(function: str, condition: str) -> Path:
        text = SPEC.replace("PORT", str(mailbox.port)).replace("FUNCTION", function).replace("CONDITION", condition)
        return spec(text).parent

    return write


@pytest.mark.parametrize("condition", ["ABORTED", "WARNING"])
def test_a_run_whose_end_cannot_be_written_tells_it_by_mail(
    condition: str, project: Callable[[str, str], Path], mailbox: Mailbox
) -> None:
    """The limit on the size of files works without rights and without a file system of its own."""
    folder = project("limit", condition)
    told = engine_run(folder)
    assert told.returncode == 3, told.stdout + told.stderr
    assert str(folder / ".engine" / "test") in told.stderr
    assert "Traceback" not in told.stderr
    subject, text = read_mail(mailbox)
    assert subject == f"nightly: {condition}"
    assert "this run could not be recorded: state folder" in text


def test_the_next_run_marks_it_and_tells_again(project: Callable[[str, str], Path], mailbox: Mailbox) -> None:
    engine_run(project("limit", "ABORTED"))
    mailbox.mails.clear()
    told = engine_run(project("nothing", "ABORTED"))
    assert told.returncode == 0, told.stderr
    subject, text = read_mail(mailbox)
    assert subject == "nightly: ABORTED"
    assert "this run never ended: it was killed or has crashed" in text


def test_a_run_whose_state_cannot_be_opened_tells_it_by_mail(
    project: Callable[[str, str], Path], mailbox: Mailbox
) -> None:
    folder = project("nothing", "ABORTED")
    (folder / ".engine").mkdir()
    (folder / ".engine" / "test").write_text("a file where the folder should be")
    told = engine_run(folder)
    assert told.returncode == 3
    assert str(folder / ".engine" / "test") in told.stderr
    assert "nothing" not in told.stdout
    _, text = read_mail(mailbox)
    assert "this run could not be recorded: state folder" in text
    assert (folder / ".engine" / "test").is_file()


def test_a_log_that_cannot_be_written_does_not_end_the_run_but_is_reported(
    project: Callable[[str, str], Path], mailbox: Mailbox, module: Callable[[str], None]
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
    assert read_mail(mailbox)[0] == "nightly: SUCCESS"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mount_small_disk(tmp_path / "small", "size=1m") as folder:
        yield folder


@pytest.mark.parametrize("full_before", [False, True])
def test_a_full_disk_is_reported_by_mail(
    full_before: bool, project: Callable[[str, str], Path], mailbox: Mailbox, small_disk: Path
) -> None:
    folder = project("nothing", "ABORTED")
    for name in ("project.yaml", "mine.py"):
        (small_disk / name).write_bytes((folder / name).read_bytes())
    assert engine_run(small_disk).returncode == 0
    assert mailbox.mails == []
    if full_before:
        fill_disk(small_disk / "ballast")
    else:
        text = (small_disk / "project.yaml").read_text()
        (small_disk / "project.yaml").write_text(text.replace("mine:nothing", "mine:fill"))
    told = engine_run(small_disk)
    assert told.returncode == 3, told.stdout + told.stderr
    assert "the disk is full" in told.stderr
    assert str(small_disk / ".engine" / "test") in told.stderr
    _, said = read_mail(mailbox)
    assert "the disk is full" in said


def test_a_user_who_may_not_write_the_state_is_reported_by_mail(
    project: Callable[[str, str], Path], mailbox: Mailbox
) -> None:
    folder = project("nothing", "ABORTED")
    assert engine_run(folder).returncode == 0
    powerless = find_powerless()
    for path in [*(folder / ".engine").rglob("*"), folder / ".engine"]:
        path.chmod(path.stat().st_mode & ~0o222)
    try:
        told = engine_run(folder, *powerless)
    finally:
        for path in [folder / ".engine", *(folder / ".engine").rglob("*")]:
            path.chmod(path.stat().st_mode | 0o200)
    assert told.returncode == 3
    assert "cannot be written" in told.stderr
    assert "this run could not be recorded" in read_mail(mailbox)[1]
