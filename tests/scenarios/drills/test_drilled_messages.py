"""Drills: what would be sent, and that nothing is sent or kept."""

from datetime import timedelta
from pathlib import Path

import pytest

import engine

from .drilled_results import REPORTING, Rows, Write, by_check, hash_files


@pytest.fixture
def reporting(plain: Path, spec: Write) -> Path:
    return spec(REPORTING)


def test_the_state_is_byte_for_byte_as_before_and_nothing_waits_to_be_sent(reporting: Path) -> None:
    project = engine.load(reporting)
    project.run("weekly")
    before = hash_files(reporting.parent)
    drilled = project.drill("drift", "shift age=+1sd", "missing score=30%", "shuffle group", "rows 300")
    assert drilled.heard
    assert hash_files(reporting.parent) == before
    assert project.outbox().is_empty()
    assert project.tables.count_runs() == 1


def test_a_drill_without_a_state_makes_none(plain: Path) -> None:
    before = hash_files(plain.parent)
    assert engine.load(plain).drill("drift", "shift age=+1sd").heard
    assert {name for name in hash_files(plain.parent) if not name.startswith(".engine")} == set(before)
    assert not list(plain.parent.rglob("state.db"))


def test_the_reporter_whose_condition_holds_shows_its_mail(reporting: Path) -> None:
    project = engine.load(reporting)
    [told] = project.drill("drift", "shift age=+1sd").messages
    assert 'Reporter "age alarm" would send through channel "ops"' in told
    assert "To: ops@example.com" in told
    assert "Subject: age has moved" in told
    assert "drift.age" in told
    [silent] = project.drill("drift", "category group=new:50%").messages
    assert silent.startswith('Reporter "age alarm" would send nothing: its run_condition is false')


def test_a_muted_check_does_not_fire_and_nothing_is_sent(reporting: Path) -> None:
    project = engine.load(reporting)
    project.run("weekly")
    project.mute("drift", "age moved", until=timedelta(days=3), reason="known")
    drilled = project.drill("drift", "shift age=+1sd")
    assert (by_check(drilled)["age moved"].muted, by_check(drilled)["age moved"].fires) == (True, False)
    assert (drilled.heard, drilled.messages[0].partition(":")[0]) == (False, 'Reporter "age alarm" would send nothing')


def test_a_reporter_that_has_reported_it_already_sends_nothing(reporting: Path, spec: Write, rows: Rows) -> None:
    """What counts is what the last real run has told: the run without disturbances changes no state of a reporter."""
    spec(
        REPORTING.replace("checks['age moved'].outcome == 'ERROR'", "outcome == 'FAILED'").replace(
            "            channel: ops\n", "            only_on_change: true\n            channel: ops\n"
        )
        + "      outbox_free:\n        steps: [{name: x, kind: build, target: now}]\n"
    )
    project = engine.load(reporting)
    told = project.drill("drift", "shift age=+1sd", scenarios=["weekly"]).messages
    assert "would send through" in told[0]
    rows("now.parquet", 1000, seed=2, shift=20)
    project.run("weekly")
    rows("now.parquet", 1000, seed=2)
    again = project.drill("drift", "shift age=+1sd", scenarios=["weekly"]).messages
    assert "would send nothing" in again[0]


def test_a_step_that_sends_shows_its_message_and_a_list_of_targets_is_drilled(plain: Path, spec: Write) -> None:
    spec(
        REPORTING.replace("kind: build, target: drift", "kind: build, target: [before, drift]").replace(
            "        reporters:\n",
            "          - {name: Tell, kind: send_message, channel: ops, to: [ops@example.com], subject: so far,\n"
            "             run_condition: \"checks['age moved'].outcome != 'OK'\"}\n        reporters:\n",
        )
    )
    drilled = engine.load(plain).drill("drift", "shift age=+1sd")
    assert [message.split(" would")[0] for message in drilled.messages] == ['Step "Tell"', 'Reporter "age alarm"']
    assert "Subject: so far" in drilled.messages[0]


def test_a_disturbance_that_no_check_looks_at_fires_nothing(plain: Path) -> None:
    drilled = engine.load(plain).drill("drift", "missing label=20%")
    assert not drilled.heard
    assert not any(check.fires for check in drilled.compare_checks())
