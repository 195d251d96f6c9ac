"""Messages as rows of a file: read by a dataset of the project, written by several at once, killed in between."""

import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

import engine
from engine.errors import DeliveryError
from engine.notifications import dataset
from engine.notifications.envelope import Envelope
from engine.outcome import Outcome
from engine.spec.resources.channels import DatasetChannel
from engine.store import OutboxMessage

MESSAGE = OutboxMessage(
    id="1-a.0",
    run="1-a",
    reporter="r",
    channel="rows",
    to=(),
    subject='=HYPERLINK("http://x")',
    text='Données, "quoted"\nline two\r\n',
    created=datetime(2026, 11, 23, 1, 38, 0, 999, tzinfo=UTC),
    scenario="monitor",
)


def send(folder: Path, name: str, message: OutboxMessage = MESSAGE) -> None:
    post = Envelope(message, "", folder, folder, "", Outcome.FAILED, project="p")
    dataset.send(DatasetChannel(path=name), post)


def number(i: int) -> OutboxMessage:
    return dataclasses.replace(MESSAGE, id=f"1-a.{i}", recovered=bool(i % 2))


@pytest.mark.parametrize("name", ["alerts.csv", "alerts.ndjson"])
def test_a_dataset_of_the_project_reads_the_rows(tmp_path: Path, name: str) -> None:
    for i in (0, 1, 2):
        send(tmp_path, f"kept/{name}", number(i))
    (tmp_path / "p.yaml").write_text(
        f"version: 1\nproject: p\ndatasets:\n  alerts:\n    path: kept/{name}\n"
        "    checks:\n      few alerts: {metric: row_count, max: 2}\n"
        "scenarios:\n  s: {steps: [{name: look, kind: run_checks, target: alerts}]}\n"
    )
    run = engine.load(tmp_path / "p.yaml").run("s")
    [result] = run.steps[0].checks
    assert (result.value, result.outcome) == (3, "ERROR")


def test_the_columns_of_csv_and_the_keys_of_ndjson(tmp_path: Path) -> None:
    for name in ("a.csv", "a.ndjson"):
        send(tmp_path, name)
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        [header, row] = csv.reader(file)
    plain = {
        "time": "2026-11-23T01:38:00Z",
        "project": "p",
        "scenario": "monitor",
        "run": "1-a",
        "outcome": "FAILED",
        "event": "message",
        "reporter": "r",
        "subject": '=HYPERLINK("http://x")',
        "text": 'Données, "quoted"\nline two\r\n',
        "id": "1-a.0",
    }
    assert json.loads((tmp_path / "a.ndjson").read_text()) == plain
    assert dict(zip(header, row, strict=True)) == plain | {"subject": '\'=HYPERLINK("http://x")'}


@pytest.mark.parametrize("start", ["=1", "+cmd", "-cmd", "@x", "\t=1", "\r=1", "＝1"])
def test_no_cell_is_a_formula(tmp_path: Path, start: str) -> None:
    send(tmp_path, "a.csv", dataclasses.replace(MESSAGE, subject=f"{start}+1", text=f"{start}x"))
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        [_, row] = csv.reader(file)
    assert all(cell.startswith("'") for cell in row[7:9])


@pytest.mark.parametrize("name", ["a.csv", "a.ndjson"])
def test_a_message_that_is_sent_again_adds_no_row(tmp_path: Path, name: str) -> None:
    for i in (0, 1, 0, 1, 0):
        send(tmp_path, name, number(i))
    before = (tmp_path / name).read_bytes()
    send(tmp_path, name, number(1))
    assert (tmp_path / name).read_bytes() == before
    assert before.count(b"1-a.") == 2


def test_a_file_without_a_last_line_end_and_its_mode_are_kept(tmp_path: Path) -> None:
    send(tmp_path, "a.ndjson", number(0))
    path = tmp_path / "a.ndjson"
    path.write_text(path.read_text().rstrip("\n"))
    path.chmod(0o640)
    (tmp_path / "link.ndjson").symlink_to(path)
    send(tmp_path, "link.ndjson", number(1))
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == ["1-a.0", "1-a.1"]
    assert path.stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "link.ndjson").is_symlink()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"x,y\n1,2\n", "its columns are x, y, not time, project"),
        ("a.csv", b"\xff\xfe\x00", "which has other content"),
        ("a.csv", b'"half', "which has other content"),
        ("a.ndjson", b"[1]\n", "line 1 is not an object"),
        ("a.ndjson", b'{"id": 1}\nhalf', "which has other content"),
    ],
)
def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DeliveryError, match=words):
        send(tmp_path, name)
    assert (tmp_path / name).read_bytes() == content


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DeliveryError, match=r"^cannot write file/a\.csv: "):
        send(tmp_path, "file/a.csv")


WRITER = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_dataset_channel import number, send
for i in range({first}, {last}):
    send(Path({folder!r}), {name!r}, number(i))
"""


def start_writer(folder: Path, name: str, first: int, last: int) -> subprocess.Popen[bytes]:
    text = WRITER.format(tests=str(Path(__file__).parent), first=first, last=last, folder=str(folder), name=name)
    return subprocess.Popen([sys.executable, "-c", text])


def read_ids(path: Path) -> list[str]:
    if path.suffix == ".ndjson":
        return [json.loads(line)["id"] for line in path.read_text(encoding="utf-8").splitlines()]
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file, strict=True))
    assert {len(row) for row in rows} == {len(dataset.COLUMNS)}
    return [row[-1] for row in rows[1:]]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.csv", "a.ndjson"])
def test_several_writers_at_once_lose_and_repeat_nothing(tmp_path: Path, name: str) -> None:
    writers = [start_writer(tmp_path, name, first, first + 16) for first in (0, 8, 16)]
    assert [writer.wait(120) for writer in writers] == [0, 0, 0]
    assert sorted(read_ids(tmp_path / name)) == sorted(f"1-a.{i}" for i in range(32))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.csv", "a.ndjson"])
def test_a_writer_that_is_killed_leaves_whole_rows_and_no_lock(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for turn in range(3):
        writer = start_writer(tmp_path, name, 0, 100_000)
        until = time.monotonic() + 60
        known = len(read_ids(path)) if path.exists() else 0
        while time.monotonic() < until and (not path.exists() or len(read_ids(path)) < known + 3 + turn):
            time.sleep(0.003)
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        ids = read_ids(path)
        assert ids == [f"1-a.{i}" for i in range(len(ids))]
    send(tmp_path, name, dataclasses.replace(MESSAGE, id="after"))
    assert read_ids(path)[-1] == "after"
    assert sorted(one.name for one in tmp_path.iterdir() if name in one.name) == [f".{name}.lock", name]
