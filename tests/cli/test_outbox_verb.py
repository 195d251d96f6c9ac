"""Messages that nobody will ever get: shown, dropped, sent again, and no longer in the way of the exit code."""

import re
from functools import partial
from pathlib import Path

import pytest

from ..command_line import Engine, call_engine
from ..ports import find_free_port
from ..webhooks import receive_webhooks

SPEC = """
version: 1
project: p
run: watch
channels:
  chat: {{kind: apprise, url: "json://127.0.0.1:{port}/x"}}
  box: {{kind: file, path: outbox}}
scenarios:
  watch:
    steps: [{{name: say, kind: python, function: "mine:warn"}}]
    reporters:
      - {{name: c, channel: chat}}
      - {{name: f, channel: box}}
"""


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    (tmp_path / "p.yaml").write_text(SPEC.format(port=find_free_port()))
    (tmp_path / "mine.py").write_text("def warn():\n    return 'WARNING'\n")

    return partial(call_engine, tmp_path, NO_COLOR="1")


@pytest.mark.slow
def test_undelivered_messages_are_shown_tried_again_and_dropped(engine: Engine) -> None:
    assert [engine("run", "p.yaml").returncode for _ in range(2)] == [4, 4]
    shown = engine("show", "p.yaml", "--outbox", "--format", "csv").stdout.splitlines()
    assert [line.split(",")[1] for line in shown[1:]] == ["PENDING", "PENDING"]
    first, second = (line.split(",")[0].rpartition("-")[2] for line in shown[1:])
    again = engine("outbox", "retry", "p.yaml", first)
    assert again.returncode == 4
    assert again.stdout.startswith("PENDING c to chat: ")
    assert engine("outbox", "drop", "p.yaml", second).stdout.startswith("dropped ")
    wrong = engine("outbox", "drop", "p.yaml", second)
    assert wrong.returncode == 2
    assert "there is no undelivered message" in wrong.stderr
    assert engine("outbox", "drop", "p.yaml").returncode == 0
    text = engine("show", "p.yaml", "--outbox").stdout
    assert text.count("DROPPED") == 2
    assert "dropped by " in text


def test_a_channel_that_left_the_spec_is_settled_once(engine: Engine, tmp_path: Path) -> None:
    assert engine("run", "p.yaml").returncode == 4
    spec = tmp_path / "p.yaml"
    spec.write_text("".join(line for line in spec.read_text().splitlines(keepends=True) if "chat" not in line))
    first, second = engine("run", "p.yaml"), engine("run", "p.yaml")
    assert (first.returncode, second.returncode) == (0, 0)
    assert ": DROPPED: dropped: the spec does not declare this channel any more" in first.stderr
    assert "chat" not in second.stderr


@pytest.mark.slow
def test_what_is_refused_for_good_is_reported_by_one_run_and_can_be_sent_again(engine: Engine, tmp_path: Path) -> None:
    answers = [400]

    spec = tmp_path / "p.yaml"
    with receive_webhooks(lambda _: answers[0]) as service:
        text = re.sub(r"json://127.0.0.1:\d+", f"json://127.0.0.1:{service.port}", spec.read_text())
        spec.write_text(text.replace("name: c, channel: chat", "name: c, channel: chat, at: start"))
        first = engine("run", "p.yaml")
        assert first.returncode == 4
        assert "refused for good, see engine outbox: c to chat" in first.stdout
        assert "error=400" in first.stdout
        spec.write_text(spec.read_text().replace("name: c,", "name: c, active: false,"))
        second = engine("run", "p.yaml")
        assert second.returncode == 0
        assert "refused" not in second.stdout + second.stderr
        assert "REFUSED" in engine("show", "p.yaml", "--outbox").stdout
        assert engine("outbox", "retry", "p.yaml", "chat").returncode == 4
        answers[0] = 200
        assert engine("outbox", "retry", "p.yaml", "c").stdout == "SENT c to chat: json through apprise\n"
        assert "REFUSED" not in engine("show", "p.yaml", "--outbox").stdout


@pytest.mark.slow
def test_messages_are_dropped_by_their_run_reporter_or_channel(engine: Engine) -> None:
    for _ in range(2):
        engine("run", "p.yaml")
    shown = engine("show", "p.yaml", "--outbox", "--format", "csv").stdout.splitlines()
    run = shown[1].rpartition(",")[2]
    assert engine("outbox", "drop", "p.yaml", run.rpartition("-")[2]).stdout == f"dropped {run}.0\n"
    assert engine("outbox", "drop", "p.yaml", "box").returncode == 2
    assert engine("outbox", "drop", "p.yaml", "chat").stdout.count("dropped ") == 1
