"""The metrics, as Prometheus reads them."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from sqlalchemy import delete

from engine.evaluation.record import CheckResult, Evaluation, Fingerprints, MetricValue
from engine.outcome import CheckOutcome, Outcome
from engine.server.listener import ListenerOptions, create_listener
from engine.store import Fire, FireState, OutboxMessage, RunRecord, generate_id
from engine.store.tables import fires, run_ends, runs

from .small_server import SPEC, SmallServer, write_spec

NOW = datetime.now(UTC)
OPENMETRICS = {"accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}
ODD = 'a "quoted" \\ name\u00e4'


def read_samples(families: Iterable[Metric]) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return the samples by name and labels; each stands once."""
    found = [((one.name, frozenset(one.labels.items())), one.value) for each in families for one in each.samples]
    assert len(dict(found)) == len(found)
    return dict(found)


def find(client: httpx2.Client, name: str, **labels: str) -> float | None:
    samples = read_samples(parse_text(client.get("/metrics").text))
    return samples.get((name, frozenset((labels | {"project": "shop"}).items())))


def end_run(served: SmallServer, scenario: str, outcome: Outcome, seconds: float, ended: datetime | None = None) -> str:
    ended = ended or datetime.now(UTC)
    run = RunRecord(generate_id(ended), "shop", scenario, ended - timedelta(seconds=seconds), "ann@host")
    served.store.runs.start(run)
    served.store.runs.finish(replace(run, outcome=outcome, ended=ended))
    return run.id


def test_both_formats_are_read_by_the_parsers_of_prometheus(served: SmallServer, client: httpx2.Client) -> None:
    end_run(served, "nightly", Outcome.SUCCESS, 3)
    end_run(served, ODD, Outcome.FAILED, 90)
    plain, modern = client.get("/metrics"), client.get("/metrics", headers=OPENMETRICS)
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert modern.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    old, new = read_samples(parse_text(plain.text)), read_samples(parse_openmetrics(modern.text))
    varying = ("engine_tick_age_seconds", "process_")
    assert {key for key in old if not key[0].startswith(varying)} == {
        key for key in new if not key[0].startswith(varying)
    }
    assert old["engine_runs_total", frozenset({("project", "shop"), ("scenario", ODD), ("outcome", "failed")})] == 1.0
    for family in parse_openmetrics(modern.text):
        assert family.documentation
        assert family.name.startswith(("engine_", "process_"))


def test_runs_are_counted_by_outcome_and_duration_since_the_server_started(
    served: SmallServer, client: httpx2.Client
) -> None:
    labels = {"scenario": "nightly"}
    assert find(client, "engine_runs_total", outcome="failed", **labels) == 0.0
    end_run(served, "nightly", Outcome.FAILED, 4)
    end_run(served, "nightly", Outcome.FAILED, 100)
    end_run(served, "nightly", Outcome.SUCCESS, 7200)
    assert find(client, "engine_runs_total", outcome="failed", **labels) == 2.0
    assert find(client, "engine_run_seconds_count", **labels) == 3.0
    assert find(client, "engine_run_seconds_sum", **labels) == pytest.approx(7304)
    bounds = {"1.0": 0, "5.0": 1, "60.0": 1, "300.0": 2, "3600.0": 2, "14400.0": 3, "+Inf": 3}
    assert {bound: find(client, "engine_run_seconds_bucket", le=bound, **labels) for bound in bounds} == bounds
    assert find(client, "engine_last_run_end_timestamp_seconds", outcome="failed", **labels) == pytest.approx(
        datetime.now(UTC).timestamp(), abs=60
    )


def test_a_counter_does_not_fall_when_rows_are_removed(served: SmallServer, client: httpx2.Client) -> None:
    end_run(served, "nightly", Outcome.SUCCESS, 1)
    served.store.fires.advance(
        [], [Fire("nightly", "at night", "cron:1", NOW, datetime.now(UTC), state=FireState.SKIPPED)]
    )
    fire = {"scenario": "nightly", "trigger": "at night", "state": "skipped"}
    assert find(client, "engine_fires_total", **fire) == 1.0
    with served.store.database.begin_write() as connection:
        for table in (run_ends, runs, fires):
            connection.execute(delete(table))
    assert find(client, "engine_fires_total", **fire) == 1.0
    assert find(client, "engine_runs_total", scenario="nightly", outcome="success") == 1.0


def test_a_fire_is_counted_once_when_it_is_over(served: SmallServer, client: httpx2.Client) -> None:
    (slow,) = served.store.fires.advance([], [Fire("nightly", "often", "interval:1", NOW, datetime.now(UTC))])
    labels = {"scenario": "nightly", "trigger": "often", "state": "done"}
    assert find(client, "engine_fires_total", **labels) == 0.0
    assert find(client, "engine_fires_open", scenario="nightly", state="waiting") == 1.0
    (quick,) = served.store.fires.advance([], [Fire("nightly", "often", "interval:2", NOW, datetime.now(UTC))])
    served.store.fires.change(quick.number, state=FireState.DONE)
    assert [find(client, "engine_fires_total", **labels) for _ in range(2)] == [1.0, 1.0]
    served.store.fires.change(slow.number, state=FireState.DONE)
    assert [find(client, "engine_fires_total", **labels) for _ in range(2)] == [2.0, 2.0]
    assert find(client, "engine_fires_open", scenario="nightly", state="waiting") is None


def test_what_happened_before_the_start_is_not_counted_and_all_since_is(served: SmallServer) -> None:
    """The first request for the metrics may come long after the start, and the state be opened after it."""
    earlier = datetime.now(UTC) - timedelta(seconds=1)
    end_run(served, "nightly", Outcome.SUCCESS, 1, ended=earlier)
    fires = [Fire("nightly", "often", f"interval:{n}", earlier, earlier) for n in range(2)]
    waiting, started = served.store.fires.advance([], fires)
    served.store.fires.advance([], [Fire("nightly", "often", "interval:9", earlier, earlier, state=FireState.DONE)])
    project, served.project = served.project, replace(served.project, store=None)
    listener = create_listener(served, ListenerOptions("127.0.0.1:0"), {}, print)
    listener.start()
    try:
        served.project = project
        run = end_run(served, "nightly", Outcome.SUCCESS, 3, ended=datetime.now(UTC))
        served.store.fires.change(started.number, state=FireState.DONE, run=run)
        headers = {"authorization": f"Bearer {listener.token}"}
        with httpx2.Client(base_url=listener.url, headers=headers) as client:
            labels = {"scenario": "nightly", "trigger": "often", "state": "done"}
            assert find(client, "engine_runs_total", scenario="nightly", outcome="success") == 1.0
            assert find(client, "engine_fires_total", **labels) == 1.0
            served.store.fires.change(waiting.number, state=FireState.DONE)
            assert find(client, "engine_fires_total", **labels) == 2.0
    finally:
        listener.stop()


def test_scrapes_at_the_same_time_count_nothing_twice(served: SmallServer, client: httpx2.Client) -> None:
    for _ in range(20):
        end_run(served, "quick", Outcome.SUCCESS, 1)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: client.get("/metrics"), range(16)))
    assert find(client, "engine_runs_total", scenario="quick", outcome="success") == 20.0


def test_undelivered_messages_are_gauges_per_channel(served: SmallServer, client: httpx2.Client) -> None:
    assert find(client, "engine_messages_undelivered", channel="hook") == 0.0
    for n in range(3):
        served.store.outbox.add(OutboxMessage(f"m{n}", None, "end", "hook", (), "s", "t", NOW))
    assert find(client, "engine_messages_undelivered", channel="hook") == 3.0
    assert find(client, "engine_messages_undelivered", channel="files") == 0.0


def evaluation(metrics: dict[str, float | None]) -> Evaluation:
    values = {name: MetricValue(value, reason=None if value is not None else "none") for name, value in metrics.items()}
    prints = Fingerprints("m", "d", "r", "p")
    return Evaluation(generate_id(NOW), "watch", "today", {}, NOW, prints, "1", "1", 5, 5, 0, values)


def test_only_displayed_metrics_of_the_newest_evaluation_are_reported(tmp_path: Path) -> None:
    shown = """\
evaluation_stores:
  watch:
    dataset: sales
    evaluation: {name: today}
    reference: {kind: dataset, dataset: busy}
    display: {metrics: [data_drift, psi.amount]}
"""
    served = SmallServer(write_spec(tmp_path, SPEC + shown))
    served.store.evaluations.add(evaluation({"data_drift": 0.1}))
    newest = evaluation({"data_drift": 0.25, "psi.amount": None, "psi.other": 3.0, "drift.amount": 0.1})
    served.store.evaluations.add(newest)
    results = [
        CheckResult("watch", "enough", "data_drift", outcome, outcome, 5.0, evaluation=newest.id)
        for outcome in (CheckOutcome.OK, CheckOutcome.WARNING)
    ]
    served.store.checks.add(None, results)
    listener = create_listener(served, ListenerOptions("127.0.0.1:0"), {}, print)
    listener.start()
    try:
        headers = {"authorization": f"Bearer {listener.token}"}
        samples = read_samples(parse_text(httpx2.get(f"{listener.url}/metrics", headers=headers).text))
    finally:
        listener.stop()
        served.close()
    metrics = [(dict(labels), value) for (name, labels), value in samples.items() if name == "engine_evaluation_metric"]
    assert metrics == [({"project": "shop", "store": "watch", "metric": "data_drift"}, 0.25)]
    checks = [(dict(labels), value) for (name, labels), value in samples.items() if name == "engine_check_outcome"]
    assert {labels["outcome"]: value for labels, value in checks} == {"ok": 0, "empty": 0, "warning": 1, "error": 0}
