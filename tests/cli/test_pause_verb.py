"""Pausing a scenario, and what `engine show` tells of triggers and of what was due: the command line as a process."""

import csv
import fcntl
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from engine.outcome import Outcome
from engine.store import Fire, FireState, RunRecord, Store, TriggerState
from engine.store.locks import SERVER_LOCK, lock_path

from ..command_line import Engine, call_engine

SPEC = """
version: 1
project: p
timezone: Europe/Berlin
datasets:
  t: {path: t.csv}
  u: {path: u.csv}
scenarios:
  nightly:
    triggers:
      - {name: night, kind: cron, cron: "30 2 * * *"}
      - {name: island, kind: cron, cron: "15 12 * * *", timezone: Australia/Lord_Howe}
      - {name: fortnight, kind: interval, every: 14d, since: 2026-01-06, timezone: UTC}
      - {name: month, kind: interval, every: 1mo, since: 2026-01-31}
      - {name: off, kind: cron, cron: "0 0 * * *", active: false}
      - {name: fresh, kind: dataset_changed, dataset: [t, u], all: true, every: 5m}
      - {name: asked, kind: query_changed, sql: "SELECT count(*) AS n FROM t"}
    steps: [{name: build, target: t}]
  after:
    triggers: [{name: then, kind: scenario_finished, scenario: nightly}]
    steps: [{name: build, target: u}]
  by hand:
    steps: [{name: build, target: t}]
"""
FIRES = """\
number  scheduled (UTC)   in its zone             scenario  trigger  state      run       outcome  attempt  into  late        reason  changed
     1  2026-10-25 00:30  2026-10-25 02:30+02:00  nightly   night    DONE       00c0ffee  SUCCESS        2     -  4 min 12 s
     2  2026-10-25 00:30  2026-10-25 02:30+02:00  nightly   night    SKIPPED    -         -              1     -  3.0 s       missed
     3  2026-10-25 00:30  2026-10-25 02:30+02:00  nightly   fresh    COALESCED  -         -              1     1  0 s         -       t, u
     4  2026-10-25 00:30  2026-10-25 02:30+02:00  gone      gone     WAITING    -         -              1     -  0 s
"""  # noqa: E501  as it is printed
AT = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
"""Half past two in Berlin, for the first time in that night."""


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    (tmp_path / "p.yaml").write_text(SPEC)
    for name in "tu":
        (tmp_path / f"{name}.csv").write_text("a,b\n1,2\n2,3\n")

    return partial(call_engine, tmp_path, NO_COLOR="1", LOGNAME="ada")


@pytest.fixture
def store(engine: Engine, tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / ".engine" / "p") as opened:
        yield opened


@contextmanager
def served(store: Store) -> Iterator[None]:
    """Hold the lock that a server holds."""
    with lock_path(store.folder, SERVER_LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def list_triggers(engine: Engine) -> dict[str, dict[str, Any]]:
    return {
        row["trigger"]: row for row in json.loads(engine("show", "p.yaml", "--triggers", "--format", "json").stdout)
    }


@pytest.mark.slow
def test_a_scenario_is_paused_until_somebody_resumes_it_and_both_are_recorded(engine: Engine) -> None:
    said = engine("pause", "p.yaml", "nightly", "--reason", "the  database\nmoves")
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith("nightly: paused until somebody resumes it by ada@")
    assert said.stdout.endswith(": the database moves\n")
    assert "   nightly: paused until somebody resumes it by ada@" in engine("show", "p.yaml").stdout
    assert list_triggers(engine)["night"]["state"].startswith("paused until somebody resumes it by ada@")
    assert list_triggers(engine)["then"]["state"] == "active"
    said = engine("resume", "p.yaml", "nightly")
    assert said.stdout == "nightly: its triggers start runs again, from now on\n"
    assert "paused" not in engine("show", "p.yaml").stdout
    rows = list(csv.DictReader(io.StringIO(engine("pause", "p.yaml", "--list", "--format", "csv").stdout)))
    assert [row["scenario"] for row in rows] == ["nightly"]
    assert rows[0]["state"].startswith("ended by ada@")


@pytest.mark.slow
def test_a_pause_ends_by_itself_in_the_time_zone_of_the_project(engine: Engine) -> None:
    day = datetime.now(ZoneInfo("Europe/Berlin")).date() + timedelta(days=2)
    until = datetime.combine(day, time(8), ZoneInfo("Europe/Berlin")).astimezone(UTC)
    said = engine("pause", "p.yaml", "nightly", "--until", f"{day}T08:00").stdout
    assert said.startswith(f"nightly: paused until {until:%Y-%m-%d %H:%M} UTC by ada@")
    engine("pause", "p.yaml", "nightly", "--until", "2h")
    rows = json.loads(engine("pause", "p.yaml", "--list", "--format", "json").stdout)
    assert [row["state"].partition(" ")[0] for row in rows] == ["ended", "in"]
    over = engine("pause", "p.yaml", "nightly", "--until", "2026-01-01")
    assert over.returncode == 2
    assert "a pause until 2025-12-31 23:00 UTC would be over already: it is " in over.stderr
    late = engine("pause", "p.yaml", "nightly", "--until", "9999-12-31T23:59-05:00")
    assert late.returncode == 2
    assert "a pause until 9999-12-31 23:59:00-05:00 would end after the year 9999" in late.stderr


@pytest.mark.slow
def test_what_cannot_be_paused_or_resumed_says_why(engine: Engine) -> None:
    assert "there is no scenario 'nigthly'; did you mean 'nightly'?" in engine("pause", "p.yaml", "nigthly").stderr
    assert "'after' is not paused; no scenario is" in engine("resume", "p.yaml", "after").stderr
    assert "there is no scenario 'nigthly'" in engine("resume", "p.yaml", "nigthly").stderr
    assert "'soon' is not a date such as 2026-12-01" in engine("pause", "p.yaml", "after", "--until", "soon").stderr
    assert "give the scenario: engine pause SPEC SCENARIO" in engine("pause", "p.yaml").stderr
    said = engine("pause", "p.yaml", "by hand")
    assert said.returncode == 0
    assert "; but it has no triggers, so there is nothing to pause: engine run runs it as before" in said.stdout
    engine("pause", "p.yaml", "after")
    assert "paused are by hand, after" in engine("resume", "p.yaml", "nightly").stderr


def test_a_pause_of_a_scenario_that_is_gone_can_be_resumed(engine: Engine, tmp_path: Path) -> None:
    engine("pause", "p.yaml", "after")
    (tmp_path / "p.yaml").write_text(SPEC.replace("  after:", "  later:"))
    assert "after: paused until somebody resumes it by ada@" in engine("show", "p.yaml").stdout
    assert "; but the spec has no such scenario" in engine("show", "p.yaml").stdout
    assert engine("resume", "p.yaml", "after").returncode == 0


def test_triggers_are_reported_in_words_with_the_next_five_times_of_their_zone(engine: Engine) -> None:
    found = list_triggers(engine)
    assert {name: row["starts"] for name, row in found.items()} == {
        "night": "at 30 2 * * *",
        "island": "at 15 12 * * *",
        "fortnight": "every 14d, counted from 2026-01-06",
        "month": "every 1mo, counted from 2026-01-31",
        "off": "at 0 0 * * *",
        "fresh": "when the files of datasets t and u, all of them, have changed; looks every 5m",
        "asked": "when the result of a query has changed; looks every 5m",
        "then": "when a run of nightly has ended as SUCCESS or WARNING",
    }
    counts = {name: len(row["next_times"]) for name, row in found.items()}
    assert counts == dict.fromkeys(("night", "island", "fortnight", "month"), 5) | dict.fromkeys(
        ("off", "fresh", "asked", "then"), 0
    )
    for name, zone, clock in (
        ("night", "Europe/Berlin", time(2, 30)),
        ("island", "Australia/Lord_Howe", time(12, 15)),
        ("fortnight", "UTC", time(0)),
    ):
        times = [datetime.fromisoformat(text).astimezone(ZoneInfo(zone)) for text in found[name]["next_times"]]
        assert [moment.time() for moment in times] == [clock] * 5
        assert times[0].astimezone(UTC) > datetime.now(UTC) - timedelta(minutes=1)
        days = 14 if name == "fortnight" else 1
        assert {after.date() - before.date() for before, after in pairwise(times)} == {timedelta(days=days)}
        if name == "fortnight":
            assert (times[0].date() - date(2026, 1, 6)).days % 14 == 0
    text = engine("show", "p.yaml", "--triggers").stdout
    moment = datetime.fromisoformat(found["island"]["next_times"][0])
    local = moment.astimezone(ZoneInfo("Australia/Lord_Howe")).isoformat(" ", "minutes")
    assert f"island     {local}  {moment:%Y-%m-%d %H:%M}  Australia/Lord_Howe" in text
    assert "off        at 0 0 * * *" in text
    assert "inactive: the spec says active: false" in text
    rows = list(csv.DictReader(io.StringIO(engine("show", "p.yaml", "--triggers", "--format", "csv").stdout)))
    assert rows[0]["next_times"].split()[1] == found["night"]["next_times"][1]


def test_times_have_seconds_where_any_of_them_is_not_at_a_full_minute(
    engine: Engine, store: Store, tmp_path: Path
) -> None:
    (tmp_path / "p.yaml").write_text(SPEC.replace("every: 14d, since: 2026-01-06", "every: 90s, since: 2026-01-06"))
    store.fires.advance([], [Fire("nightly", "fortnight", "interval:1", AT + timedelta(seconds=30), AT)])
    assert "2026-10-25 00:30:30  2026-10-25 00:30:30+00:00" in engine("show", "p.yaml", "--fires").stdout
    text = engine("show", "p.yaml", "--triggers").stdout
    assert "2026-10-25 00:30:30 UTC WAITING" in text
    moment = datetime.fromisoformat(list_triggers(engine)["night"]["next_times"][0])
    assert f"{moment:%Y-%m-%d %H:%M:%S}  Europe/Berlin" in text


def test_the_answer_says_whether_a_server_looks_at_the_triggers(engine: Engine, store: Store) -> None:
    text = engine("show", "p.yaml", "--triggers").stdout
    assert "engine serve is not running, so no trigger starts a run: they were never checked" in text
    now = datetime.now(UTC)
    names = ("island", "fortnight", "month", "fresh", "asked")
    states = [TriggerState("nightly", name, "d", now, {}) for name in names]
    stuck = TriggerState("nightly", "night", "d", now - timedelta(days=2), {})
    wrong = TriggerState("after", "then", "d", now, {}, "no such table: t", AT)
    store.fires.advance([*states, stuck, wrong])
    with served(store):
        text = engine("show", "p.yaml", "--triggers").stdout
        assert "engine serve is not running" not in text
        assert "engine serve runs, but has not checked since then: nightly: night was due on " in text
        assert "error since 2026-10-25 00:30 UTC: no such table: t" in text
        store.fires.advance([TriggerState("nightly", "night", "d", now, {})])
        assert "engine serve runs, but" not in engine("show", "p.yaml", "--triggers").stdout
    text = engine("show", "p.yaml", "--triggers").stdout
    assert f"so no trigger starts a run: they were last checked on {now:%Y-%m-%d %H:%M} UTC" in text


@pytest.mark.slow
def test_fires_are_reported_with_their_run_and_how_late_it_came(engine: Engine, store: Store) -> None:
    id_, started = "20261025-003412-000000-00c0ffee", AT + timedelta(seconds=252)
    run = RunRecord(id=id_, project="p", scenario="nightly", started=started, who="ada@host", trigger="night", fire=1)
    fires = [
        Fire("nightly", "night", "cron:1", AT, AT, state=FireState.DONE, run=id_, attempt=2),
        Fire("nightly", "night", "cron:2", AT, AT + timedelta(seconds=3), state=FireState.SKIPPED, reason="missed"),
        Fire("nightly", "fresh", "data:1", AT, AT, changed=("t", "u"), state=FireState.COALESCED, into=1),
        Fire("gone", "gone", "cron:3", AT, AT),
    ]
    store.fires.advance([], fires)
    store.runs.start(run)
    store.runs.finish(replace(run, ended=run.started, outcome=Outcome.SUCCESS))
    shown = [line.rstrip(" -") for line in engine("show", "p.yaml", "--fires").stdout.splitlines()]
    assert shown[0] == "fires"
    assert FIRES.splitlines() == [line[3:] for line in shown[1:]]
    assert "3 earlier rows: --last 4 shows all" in engine("show", "p.yaml", "--fires", "--last", "1").stdout
    rows = json.loads(engine("show", "p.yaml", "--fires", "--format", "json").stdout)
    assert [(row["number"], row["late"], row["run"]) for row in rows[:2]] == [(1, 252.0, id_), (2, 3.0, None)]
    rows = list(csv.DictReader(io.StringIO(engine("show", "p.yaml", "--fires", "--format", "csv").stdout)))
    assert (rows[2]["state"], rows[2]["into"], rows[2]["changed"]) == ("COALESCED", "1", "t, u")
    assert (
        "   fire     1: nightly by the trigger night, for 2026-10-25 00:30:00 UTC "
        "(2026-10-25 02:30+02:00 Europe/Berlin), attempt 2, 4 min 12 s late\n"
    ) in engine("show", "p.yaml", "--run", "00c0ffee").stdout
    told = json.loads(engine("show", "p.yaml", "--run", "00c0ffee", "--format", "json").stdout)
    assert (told["fire"], told["answers"]["fire"]["key"]) == (1, "cron:1")
    assert list_triggers(engine)["night"]["last_state"] == "SKIPPED"
    assert "2026-10-25 00:30 UTC SKIPPED: missed" in engine("show", "p.yaml", "--triggers").stdout
