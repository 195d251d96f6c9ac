"""Whether the server lives and is ready, and what it tells at a glance."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx2

from engine.store import Fire, FireState, OutboxMessage, Pause, RunRecord, TriggerState, generate_id

from .small_server import SmallServer

NOW = datetime.now(UTC)


def test_a_server_whose_loop_stands_still_is_not_alive_and_not_ready(
    served: SmallServer, client: httpx2.Client
) -> None:
    assert client.get("/livez").status_code == 200
    served.ticked = time.monotonic() - 31
    dead = client.get("/livez")
    assert (dead.status_code, dead.json()["alive"]) == (503, False)
    assert client.get("/readyz").json() == {"ready": False, "reasons": ["the main loop does not advance"]}


def test_a_server_is_not_ready_while_it_does_not_do_its_work(served: SmallServer, client: httpx2.Client) -> None:
    assert client.get("/readyz").json() == {"ready": True, "reasons": []}
    ready = served.project
    cases = {
        "another one runs the project": replace(ready, leader=False, standby=True, store=None),
        "has not started to run it yet": replace(ready, leader=False, store=None),
        "its state cannot be used": replace(ready, store_problem="/secret/place: disk full"),
        "its spec has errors; the last valid one is in use": replace(ready, spec_problems=("spec.yaml:1:1: wrong",)),
        "none has been valid": replace(ready, spec=None, spec_problems=("spec.yaml:1:1: wrong",)),
    }
    for reason, served.project in cases.items():
        found = client.get("/readyz")
        assert found.status_code == 503
        assert reason in found.text
        assert len(found.json()["reasons"]) == 1
        assert "secret" not in found.text
        assert client.get("/livez").status_code == 200
        assert client.get("/healthz").json()["ready"] is False
    served.project, served.has_projects = ready, False
    assert client.get("/readyz").json() == {"ready": False, "reasons": ["no project is served yet"]}
    served.has_projects, served.draining = True, True
    assert client.get("/readyz").json()["reasons"] == ["the server is shutting down"]


def test_a_loop_that_does_not_answer_leaves_the_rest_answered(served: SmallServer, client: httpx2.Client) -> None:
    served.loop_answers = False
    assert client.get("/healthz").json()["projects"][0]["next"] == []
    assert client.get("/metrics").status_code == 200
    late = client.get("/projects/shop/triggers")
    assert (late.status_code, late.json()["error"]) == (503, "the server is too busy to answer")


def test_drift_and_failed_runs_do_not_make_a_server_unready(served: SmallServer, client: httpx2.Client) -> None:
    run = RunRecord(generate_id(NOW), "shop", "nightly", NOW, "ann@host")
    served.store.runs.start(run)
    served.store.runs.abort_dead()
    assert client.get("/readyz").status_code == 200


def test_health_tells_what_runs_waits_was_skipped_and_did_not_arrive(
    served: SmallServer, client: httpx2.Client
) -> None:
    store = served.store
    run = RunRecord(generate_id(NOW), "shop", "nightly", NOW - timedelta(minutes=5), "ann@host", "at night")
    store.runs.start(run)
    state = TriggerState("nightly", "often", "d", NOW, error="the database is down", error_since=NOW)
    skipped = Fire("nightly", "at night", "cron:1", NOW, NOW, state=FireState.SKIPPED, reason="missed")
    old = Fire("nightly", "at night", "cron:0", NOW, NOW - timedelta(days=2), state=FireState.SKIPPED, reason="missed")
    store.fires.advance([state], [skipped, old, Fire("nightly", "at night", "cron:2", NOW, NOW)])
    message = OutboxMessage("m1", run.id, "end", "hook", (), "s", "t", NOW)
    store.outbox.add(message)
    claim = store.outbox.claim("m1", timedelta(minutes=1))
    assert claim is not None
    store.outbox.mark_failed(claim, "connection refused", NOW + timedelta(hours=1))
    store.pauses.add(Pause("quick", None, "ann", "repair", NOW))
    served.project = replace(served.project, stale=("dataset sales: not looked at since 10:00",))

    (found,) = client.get("/healthz").json()["projects"]
    assert [(one["id"], one["seconds"] >= 300) for one in found["running"]] == [(run.id, True)]
    assert found["waiting"] == 1
    assert [(one["trigger"], one["reason"]) for one in found["skipped"]] == [("at night", "missed")]
    assert [(one["trigger"], one["error"]) for one in found["trigger_errors"]] == [("often", "the database is down")]
    assert [(one["channel"], one["waiting"], one["last_error"]) for one in found["undelivered"]] == [
        ("hook", 1, "connection refused")
    ]
    assert [(one["scenario"], one["by"], one["reason"]) for one in found["paused"]] == [("quick", "ann", "repair")]
    assert found["stale"] == ["dataset sales: not looked at since 10:00"]
    assert found["next"] == [{"time": "2026-12-01T02:30:00+00:00", "scenario": "nightly", "trigger": "at night"}]


def test_a_trigger_that_has_left_the_spec_causes_no_error(served: SmallServer, client: httpx2.Client) -> None:
    served.store.fires.advance([TriggerState("nightly", "gone", "d", NOW, error="e", error_since=NOW)])
    (found,) = client.get("/healthz").json()["projects"]
    assert found["trigger_errors"] == []
    assert 'trigger="gone"' not in client.get("/metrics").text


def test_a_state_that_cannot_be_read_is_reported_and_the_rest_is_answered(
    served: SmallServer, client: httpx2.Client
) -> None:
    (served.store.folder / "state.db").write_bytes(b"this is not a database" * 1000)
    found = client.get("/healthz")
    assert found.status_code == 200
    assert found.json()["projects"][0]["state_problem"]
    assert 'engine_state_readable{project="shop"} 0.0' in client.get("/metrics").text
    refused = client.get("/projects/shop/fires")
    assert refused.status_code == 503
    assert refused.json()["error"]
