"""Programs of the user's as channels: real child programs, what they get, and what their end means."""

import dataclasses
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest

from engine.errors import DeliveryError, UnreachableError
from engine.notifications import command, write_message_schema
from engine.notifications.envelope import Envelope
from engine.outcome import Outcome
from engine.spec.resources.channels import CommandChannel
from engine.store import Attachment, OutboxMessage

from ..processes import is_alive
from ..waiting import wait_for
from .conftest import limit_files

HOSTILE = '"; touch owned; $(touch owned) `touch owned` ${x} --flag\n-rf /'
MESSAGE = OutboxMessage(
    id="1-a.0",
    run="1-a",
    reporter="r",
    channel="program",
    to=(),
    subject=HOSTILE.replace("\n", " "),
    text=HOSTILE,
    created=datetime(2026, 11, 23, tzinfo=UTC),
    attachments=(Attachment("log.txt", "text/plain", b"x" * 200_000),),
    scenario="monitor",
)


def send(folder: Path, *argv: str, timeout: float = 20, seconds: float = 60) -> None:
    channel = CommandChannel(argv=list(argv), timeout=timeout)
    post = Envelope(MESSAGE, "", folder, folder, "engine@localhost", Outcome.FAILED, project="p", seconds=seconds)
    command.send(channel, post)


def write_program(folder: Path, text: str) -> str:
    path = folder / "notify.sh"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return "./notify.sh"


def test_the_program_gets_the_message_as_json_and_its_arguments_as_they_are(tmp_path: Path) -> None:
    program = write_program(tmp_path, 'cat > got.json; printf "%s\\n" "$@" > arguments')
    send(tmp_path, program, "--team", "a b", "$(touch owned)", "${HOME}")
    document = json.loads((tmp_path / "got.json").read_text())
    jsonschema.validate(document, json.loads(write_message_schema(tmp_path).read_text()))
    assert (document["text"], document["outcome"], document["project"]) == (HOSTILE, "FAILED", "p")
    assert (tmp_path / "arguments").read_text().splitlines() == ["--team", "a b", "$(touch owned)", "${HOME}"]
    assert not (tmp_path / "owned").exists()


def test_a_program_that_does_not_read_its_input_succeeds(tmp_path: Path) -> None:
    send(tmp_path, write_program(tmp_path, "exec 0<&-; touch began"))
    assert (tmp_path / "began").exists()


def test_another_exit_code_is_reported_with_the_end_of_what_it_said(tmp_path: Path) -> None:
    program = write_program(
        tmp_path, "yes long 2>/dev/null | head -c 100000 >&2; echo 'no such room: #ops' >&2; exit 7"
    )
    with pytest.raises(DeliveryError, match=r"^\./notify\.sh ended with code 7: .*no such room: #ops$") as caught:
        send(tmp_path, program)
    assert len(str(caught.value)) < 1100


def test_a_program_that_was_killed_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DeliveryError, match="was killed by signal 9"):
        send(tmp_path, write_program(tmp_path, "kill -9 $$"))


@pytest.mark.parametrize(("argv", "words"), [("./absent.sh", "No such file"), ("./no_program", "Permission denied")])
def test_a_program_that_cannot_be_started_is_reported(tmp_path: Path, argv: str, words: str) -> None:
    (tmp_path / "no_program").write_text("echo")
    with pytest.raises(UnreachableError, match=f"cannot be started: {words}"):
        send(tmp_path, argv)


def test_a_message_for_which_there_is_no_room_is_tried_again(tmp_path: Path) -> None:
    words = r"^the message cannot be kept in a temporary file: File too large$"
    with limit_files(), pytest.raises(DeliveryError, match=words):
        send(tmp_path, "true")


@pytest.mark.parametrize("limits", [{"timeout": 0.5}, {"seconds": 1.0}])
def test_a_program_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path, limits: dict[str, float]) -> None:
    program = write_program(tmp_path, "echo waiting >&2; sleep 60 & echo $! > child; wait")
    began = time.monotonic()
    with pytest.raises(UnreachableError, match=r"did not end in 0\.5 s and was killed: waiting"):
        send(tmp_path, program, **limits)
    assert time.monotonic() - began < 10
    child = int((tmp_path / "child").read_text())
    wait_for(lambda: not is_alive(child), "the end of the child", 5)


def test_the_id_is_the_same_at_every_try(tmp_path: Path) -> None:
    program = write_program(tmp_path, "cat >> got; echo >> got")
    for tries in (1, 2):
        post = Envelope(dataclasses.replace(MESSAGE, tries=tries), "", tmp_path, tmp_path, "", None)
        command.send(CommandChannel(argv=[program]), post)
    got = [json.loads(line) for line in (tmp_path / "got").read_text().splitlines()]
    assert [(each["id"], each["tries"]) for each in got] == [("1-a.0", 1), ("1-a.0", 2)]
