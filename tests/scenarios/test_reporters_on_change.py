"""Reporters that tell changes, in real runs: over restarts, with previews between, after kills, for past days."""

import http.server
import json
import os
import random
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import engine
from engine.notifications import deliver_messages
from engine.outcome import Outcome
from engine.scenarios import session
from engine.scenarios.result import RunResult
from engine.spec import Secrets, load
from engine.store import MessageState, Store

from ..command_line import ENGINE, call_engine
from ..waiting import wait_for

START = datetime(2026, 11, 2, 8, tzinfo=UTC)
SPEC = """
    channels: {rows: {kind: dataset, path: sent.ndjson}}
    scenarios:
      watch:
        steps: [{name: look, kind: python, function: "mine:look"}]
        reporters:
          - name: changes
            run_condition: outcome == 'FAILED'
            only_on_change: true
            recovery: true
            channel: rows
            subject: "watch ${outcome}"
          - {name: rarely, run_condition: outcome == 'FAILED', cooldown: 4h, channel: rows}
          - {name: outcomes, only_on_change: true, channel: rows}
"""
MODULE = """
    import pathlib, time

    def look():
        here = pathlib.Path(__file__).parent
        wanted = (here / "outcome").read_text()
        if wanted == "wait":
            (here / "waiting").touch()
            time.sleep(100)
        return wanted
"""

Watch = Callable[..., RunResult]


@pytest.fixture
def watch(tmp_path: Path, spec: Callable[[str], Path], module: Callable[[str], None]) -> Watch:
    """Run the scenario with an outcome, so many hours after the start: each time the state is opened anew."""
    path = spec(SPEC)
    module(MODULE)

    def run(outcome: str, hours: float, *, as_of: datetime | None = None, **settings: Any) -> RunResult:
        (tmp_path / "outcome").write_text(outcome)
        now = START + timedelta(hours=hours)
        project = load(path, {}, environ={}, as_of=as_of or now)
        return session.run_scenarios(project, ["watch"], environ={}, clock=lambda: now, **settings).runs[0]

    return run


def read_sent(folder: Path, reporter: str) -> list[tuple[str, str]]:
    """Return the event and the subject of each message."""
    path = folder / "sent.ndjson"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [(row["event"], row["subject"]) for row in rows if row["reporter"] == reporter]


def test_a_condition_that_flaps_over_20_runs_is_reported_at_each_change(watch: Watch, tmp_path: Path) -> None:
    draw = random.Random(20261128)
    failed = [draw.random() < 0.5 for _ in range(20)]
    for hour, bad in enumerate(failed):
        if hour % 3 == 0:  # a preview and a dry run of the opposite move nothing
            watch("SUCCESS" if bad else "FAILED", hour, preview=lambda _: None)
            watch("SUCCESS" if bad else "FAILED", hour, preview=lambda _: None, dry=True)
        watch("FAILED" if bad else "SUCCESS", hour)
    changes = [(bad, before) for before, bad in zip([False, *failed], failed, strict=False) if bad != before]
    assert read_sent(tmp_path, "changes") == [
        ("message", "watch FAILED") if bad else ("recovery", "Recovered: watch SUCCESS") for bad, _ in changes
    ]
    assert [event for event, _ in read_sent(tmp_path, "outcomes")] == [
        "message" if bad else "recovery" for bad, _ in changes
    ]
    alerts: list[int] = []
    for hour, bad in enumerate(failed):
        if bad and (not alerts or hour - alerts[-1] >= 4):
            alerts.append(hour)
    assert len(read_sent(tmp_path, "rarely")) == len(alerts)


def test_what_a_cooldown_holds_back_is_reported_by_the_run(watch: Watch) -> None:
    watch("FAILED", 0)
    told = {one.reporter: one for one in watch("FAILED", 1).deliveries}
    assert told["rarely"].state == "SKIPPED"
    assert told["rarely"].reason == (
        "its cooldown is 4 h 0 min, and its last message was made at 2026-11-02 08:00:00 UTC: the next one at "
        "2026-11-02 12:00:00 UTC at the earliest"
    )
    assert told["changes"].reason.startswith(
        "it reports a beginning once: its run_condition was already true since 2026-11-02 08:00:00"
    )
    assert {one.reporter: one.state for one in watch("FAILED", 4).deliveries}["rarely"] == "SENT"


def test_the_message_of_a_recovery_says_what_has_ended_and_since_when(watch: Watch, tmp_path: Path) -> None:
    watch("FAILED", 0)
    watch("SUCCESS", 2)
    rows = [json.loads(line) for line in (tmp_path / "sent.ndjson").read_text().splitlines()]
    by_reporter = {row["reporter"]: row["text"] for row in rows if row["event"] == "recovery"}
    ended = "This is no longer true: outcome == 'FAILED'. It was true since 2026-11-02 08:00:00 UTC."
    assert by_reporter["changes"].startswith(f"{ended}\n\nwatch of test ended SUCCESS")
    assert by_reporter["outcomes"].startswith(
        "The outcome is SUCCESS again; it was FAILED since 2026-11-02 08:00:00 UTC.\n"
    )


def test_a_run_for_a_day_of_the_past_neither_alerts_nor_recovers(watch: Watch, tmp_path: Path) -> None:
    watch("FAILED", 100)
    before = (tmp_path / "sent.ndjson").read_text()
    told = {one.reporter: one for one in watch("FAILED", 101, as_of=START).deliveries}
    assert "past times neither start nor end an alert" in told["changes"].reason
    watch("SUCCESS", 102, as_of=START)
    assert (tmp_path / "sent.ndjson").read_text() == before
    watch("SUCCESS", 103)
    assert read_sent(tmp_path, "changes")[-1][0] == "recovery"


def test_another_condition_starts_anew(watch: Watch, tmp_path: Path) -> None:
    watch("FAILED", 0)
    path = tmp_path / "project.yaml"
    path.write_text(path.read_text().replace("outcome == 'FAILED'", "outcome != 'SUCCESS'", 1))
    watch("FAILED", 1)
    assert read_sent(tmp_path, "changes") == [("message", "watch FAILED")] * 2


def test_a_preview_says_what_would_be_sent_and_why_not(watch: Watch) -> None:
    watch("FAILED", 0)
    shown: list[str] = []
    watch("SUCCESS", 1, preview=shown.append)
    assert "Subject: Recovered: watch SUCCESS" in shown[0]
    shown.clear()
    watch("FAILED", 1, preview=shown.append)
    assert shown[0].startswith('Reporter "changes" would send nothing: it reports a beginning once:')


def test_a_plan_says_what_a_reporter_has_last_seen(watch: Watch, tmp_path: Path) -> None:
    def plan() -> dict[str, str]:
        planned = session.plan_scenarios(load(tmp_path / "project.yaml", {}, environ={}), ["watch"], environ={})
        return {action.target: f"{action.because}: {action.reason}" for action in planned.scenarios[0].reporters}

    first = "depends: on a change of outcome == 'FAILED'; no run has recorded it yet"
    assert plan()["changes to rows"] == first
    watch("FAILED", 0)
    seen = "now: holds since 2026-11-02 08:00:00 UTC, last message 2026-11-02 08:00:00 UTC"
    assert plan()["rarely to rows"] == f"depends: outcome == 'FAILED', at most once in 4 h 0 min; {seen}"


@pytest.mark.slow
def test_a_killed_run_is_a_change_and_the_next_good_one_a_recovery(watch: Watch, tmp_path: Path) -> None:
    (tmp_path / "outcome").write_text("SUCCESS")
    assert call_engine(tmp_path, "run", "project.yaml").returncode == 0
    (tmp_path / "outcome").write_text("wait")
    process = subprocess.Popen([ENGINE, "run", "project.yaml"], cwd=tmp_path, stdout=subprocess.DEVNULL)
    wait_for((tmp_path / "waiting").exists, "the step")
    process.kill()
    process.wait()
    (tmp_path / "outcome").write_text("SUCCESS")
    assert call_engine(tmp_path, "run", "project.yaml").returncode == 0
    assert read_sent(tmp_path, "outcomes") == [
        ("message", "watch: ABORTED"), ("recovery", "Recovered: watch: SUCCESS"),
    ]  # fmt: skip
    assert read_sent(tmp_path, "changes") == []


@pytest.fixture
def silent_server() -> Iterator[tuple[int, list[dict[str, Any]], threading.Event]]:
    """A server that takes requests but answers none before the event is set."""
    got: list[dict[str, Any]] = []
    answer = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            got.append(body | {"key": self.headers["Idempotency-Key"]})
            answer.wait(60)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except OSError:
                self.close_connection = True

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server.server_port, got, answer
    answer.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
def test_a_sender_that_is_killed_while_a_webhook_is_silent_repeats_the_message_with_its_id(
    spec: Callable[[str], Path],
    module: Callable[[str], None],
    silent_server: tuple[int, list[dict[str, Any]], threading.Event],
    tmp_path: Path,
) -> None:
    port, got, answer = silent_server
    hook = f'rows: {{kind: webhook, url: "http://127.0.0.1:{port}/x", headers: {{X-Team: ops}}}}'
    path = spec(SPEC.replace("rows: {kind: dataset, path: sent.ndjson}", hook))
    module(MODULE)
    (tmp_path / "outcome").write_text("FAILED")
    process = subprocess.Popen([ENGINE, "run", path.name], cwd=tmp_path, stdout=subprocess.DEVNULL)
    wait_for(lambda: got, "the request")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    answer.set()
    assert len(got) == 1
    project = load(path, {}, environ={})
    later = datetime.now(UTC) + timedelta(minutes=10)  # the claim of the killed sender has expired
    with Store.open(tmp_path / ".engine" / "test", now=lambda: later) as store:
        [run] = store.runs.history()
        assert run.outcome is Outcome.FAILED
        delivered = deliver_messages(store, project, Secrets(project, {}), "run later")
        assert [delivery.state for delivery in delivered] == [MessageState.SENT] * 3
        states = {state.reporter: state for state in store.reporter_states.list_of("watch")}
    assert got[0]["key"] == got[0]["id"] == got[1]["id"] == got[1]["key"]
    assert [each["tries"] for each in got[:2]] == [1, 2]
    assert {each["id"] for each in got} == {f"{run.id}.{number}" for number in range(3)}
    assert states["changes"].told == "holds"


def test_a_run_that_evaluates_an_earlier_day_neither_alerts_nor_recovers(
    spec: Callable[[str], Path], rows: Callable[..., Path], tmp_path: Path
) -> None:
    path = spec(
        """
        variables: {day: {type: date, value: 2026-03-01}, file: few.parquet}
        channels: {rows: {kind: dataset, path: sent.ndjson}}
        datasets: {before: {path: before.parquet}, batch: {path: "${file}"}}
        evaluation_stores:
          daily:
            dataset: batch
            reference: {kind: dataset, dataset: before}
            evaluation: {time: "${day}"}
            checks: {enough rows: {metric: row_count, min: 300}}
        scenarios:
          watch:
            steps: [{name: build, target: daily}, {name: check, kind: run_checks, target: daily}]
            reporters:
              - {name: changes, run_condition: outcome == 'FAILED', only_on_change: true, recovery: true, channel: rows}
        """
    )
    rows("before.parquet", 400)
    rows("many.parquet", 400, seed=1)
    rows("few.parquet", 100, seed=2)

    def run(day: str, file: str) -> RunResult:
        project = load(path, {"day": day, "file": file}, environ={})
        return session.run_scenarios(project, ["watch"], environ={}).runs[0]

    assert run("2026-03-02", "few.parquet").outcome is Outcome.FAILED
    past = run("2026-03-01", "many.parquet")
    assert past.outcome is Outcome.SUCCESS
    assert [event for event, _ in read_sent(tmp_path, "changes")] == ["message"]
    [told] = run("2026-03-01", "few.parquet").deliveries
    assert told.reason == (
        "the run has evaluated earlier times than the newest ones: past times neither start nor end an alert"
    )
    assert run("2026-03-03", "many.parquet").outcome is Outcome.SUCCESS
    assert [event for event, _ in read_sent(tmp_path, "changes")] == ["message", "recovery"]


@pytest.mark.parametrize(
    ("limit", "step", "condition"),
    [
        ("min", "on_failure: warn", "outcome in ['WARNING', 'FAILED']"),
        ("min", "on_failure: warn", "outcome == 'WARNING'"),
        ("soft_min", "on_warning: fail", "outcome == 'FAILED'"),
        ("soft_min", "on_warning: warn", "checks['enough'].outcome == 'WARNING'"),
    ],
)
def test_a_mute_does_not_count_as_a_recovery_whatever_the_step_makes_of_the_check(
    limit: str, step: str, condition: str, spec: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text("a\n1\n")
    path = spec(
        f"""
        channels: {{rows: {{kind: dataset, path: sent.ndjson}}}}
        datasets: {{t: {{path: t.csv, checks: {{enough: {{metric: row_count, {limit}: 5}}}}}}}}
        scenarios:
          watch:
            steps: [{{name: check, kind: run_checks, target: t, {step}}}]
            reporters:
              - {{name: c, run_condition: "{condition}", only_on_change: true, recovery: true, channel: rows}}
        """
    )

    def run() -> RunResult:
        return session.run_scenarios(load(path, {}, environ={}), ["watch"], environ={}).runs[0]

    project = engine.load(path)
    run()
    project.mute("t", "enough", until=timedelta(days=1), reason="known")
    muted = run()
    assert muted.outcome is Outcome.SUCCESS
    [told] = muted.deliveries
    assert "only muted checks make the difference" in told.reason
    project.unmute("t", "enough")
    run()  # it is as bad as before the mute, and told as new
    (tmp_path / "t.csv").write_text("a\n" + "1\n" * 9)
    run()
    assert [event for event, _ in read_sent(tmp_path, "c")] == ["message", "message", "recovery"]
