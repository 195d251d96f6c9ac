"""Runs that read and write objects, and servers that wait for them: whole or not at all, and told without secrets."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from engine.errors import SpecError
from engine.outcome import Outcome
from engine.scenarios.session import CallResult, run_scenarios
from engine.spec import load
from engine.store import FireState, Store

from ..service.served import Served, list_open, read_state, wait_until, write_project
from .faulty_front import Rule, run_front
from .store_server import StoreServer, needs_server

pytestmark = needs_server

SECRET = "the/secret+key=of-the-store"
SPEC = """
secrets: {key: {env: STORE_KEY}}
connections: {lake: LAKE}
datasets:
  d: {connection: lake, path: in/*.csv, settle: 1s, checks: {rows: {metric: row_count, min: 0}}}
scenarios:
  s:
    triggers: [TRIGGER]
    steps: [STEP]
"""
CHECK = "{name: check, kind: run_checks, target: d}"
EXPORT = "{name: out, kind: export, dataset: d, connection: lake, path: out/d.parquet}"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_KEY", SECRET)


def write(folder: Path, bucket: StoreServer, step: str, trigger: str = "", **connection: Any) -> Path:
    lake = json.dumps(bucket.connection(**{"secret_key": "${secret.key}", **connection}))
    text = SPEC.replace("LAKE", lake).replace("STEP", step)
    return write_project(folder, text.replace("triggers: [TRIGGER]" if not trigger else "TRIGGER", trigger))


def run(folder: Path) -> CallResult:
    done = run_scenarios(load(folder / "served.yaml"), ["s"], environ=os.environ)
    said = repr(done)
    assert SECRET not in said
    assert "the%2Fsecret" not in said
    return done


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ([("PUT", "out/", "answer 503 SlowDown", 2), ("PUT", "out/", "lose", 1)], ""),
        ([("PUT", "out/", "answer 403 AccessDenied", -1)], "s3:PutObject to write"),
        ([("PUT", "out/", "refuse", -1)], "the connection to http://127.0.0.1:[0-9]+ was lost"),
        ([("GET", "list-type", "answer 403 SignatureDoesNotMatch", -1)], "the store does not accept the secret_key"),
        ([("GET", "in/b", "cut 0", -1)], "the connection to http://127.0.0.1:[0-9]+ was lost"),
    ],
)
def test_an_export_is_whole_or_leaves_what_was_there(
    rules: list[Rule], said: str, bucket: StoreServer, tmp_path: Path
) -> None:
    for name in "ab":
        bucket.put(f"in/{name}.csv", b"x\n1\n")
    bucket.put("out/d.parquet", b"before")
    with run_front(bucket.url, tmp_path, *rules) as front:
        state = write(tmp_path, bucket, EXPORT, endpoint=front.url)
        (ended,) = run(tmp_path).runs
    (step,) = ended.steps
    now = bucket.request("GET", "out/d.parquet")
    if said:
        assert step.outcome is Outcome.FAILED
        assert pl.Series([step.reason]).str.contains(said)[0], step.reason
        assert now == b"before"
    else:
        assert step.outcome is Outcome.SUCCESS, step.reason
        assert pl.read_parquet(now)["x"].to_list() == [1, 1]
    assert not [one for one in state.rglob("*") if one.is_file() and SECRET.encode() in one.read_bytes()]
    assert not list(state.rglob("parts/*"))


def test_what_is_read_is_not_written_over(bucket: StoreServer, tmp_path: Path) -> None:
    write(tmp_path, bucket, EXPORT.replace("out/d.parquet", "./in/a.csv"))
    with pytest.raises(SpecError, match='the dataset "d" would read the file that is exported from it'):
        load(tmp_path / "served.yaml")


def test_a_key_that_is_not_given_is_reported(
    bucket: StoreServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("in/a.csv", b"x\n1\n")
    monkeypatch.delenv("STORE_KEY")
    write(tmp_path, bucket, CHECK)
    (step,) = run(tmp_path).runs[0].steps
    assert 'secret "key": the environment variable STORE_KEY is not set' in step.reason


@pytest.mark.slow
def test_an_object_that_is_put_starts_one_run_and_a_store_that_fails_starts_none(
    serve: Callable[..., Served], bucket: StoreServer, tmp_path: Path
) -> None:
    bucket.put("in/a.csv", b"x\n1\n")
    trigger = "{name: new, kind: dataset_changed, dataset: d, every: 1s}"
    rules: list[Rule] = [("GET", "list-type", "answer 503 SlowDown", 8), ("GET", "list-type", "refuse", 8)]
    with run_front(bucket.url, tmp_path, *rules) as front:
        state = write(tmp_path, bucket, CHECK, trigger, endpoint=front.url)
        server = serve()
        server.wait_for("served")

        def seen() -> bool:
            with Store.open(state) as store:
                return any(one.seen.get("files") for one in store.fires.list_states())

        wait_until(seen, "the objects were not looked at", server)
        bucket.put("in/a.csv", b"x\n1\n")  # the same content, another time
        time.sleep(3)
        bucket.put("in/b.csv", b"x\n2\n")
        bucket.put("in/c.csv", b"x\n3\n")
        wait_until(lambda: len(read_state(state)[1]) == 1 and not list_open(state), "no run has ended", server)
        assert not front.list_requests("GET /" + bucket.bucket + "/in/a.csv?")
        time.sleep(3)
        assert server.end() == 0
    (fire,), (ended,) = read_state(state)
    assert (fire.state, fire.changed, ended.outcome) == (FireState.DONE, ("d",), Outcome.SUCCESS)
    with Store.open(state) as store:
        assert [one.metrics["row_count"].value for one in store.measurements.history("d")] == [3]
    assert [one for one in server.list_told() if one["kind"] == "problem"] == []  # what is over soon is not told
    assert SECRET not in server.out.read_text() + server.err.read_text()
