"""What is asked of the projects of a server: runs, logs, fires, pauses, reloads."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from engine.outcome import Outcome
from engine.store import RunRecord, generate_id

from .small_server import SPEC, SmallServer, write_spec

NOW = datetime.now(UTC)
RUNS = "/projects/shop/scenarios/nightly/runs"


def start_run(served: SmallServer, log: bytes = b"") -> RunRecord:
    run = RunRecord(generate_id(NOW), "shop", "nightly", NOW, "ann@host", variables={"day": "2026-11-01"})
    served.store.runs.start(run)
    (served.store.runs.folder_of(run.id) / "log.jsonl").write_bytes(log)
    return run


def test_a_requested_run_becomes_a_fire_with_its_variables_as_text(client: httpx2.Client) -> None:
    asked = {"variables": {"day": "2026-11-05", "limit": 7, "note": "a ${secret.key} of 'quotes'"}}
    made = client.post(RUNS, json=asked)
    assert made.status_code == 202
    shown = client.get(made.headers["location"])
    assert shown.json()["variables"] == {"day": "2026-11-05", "limit": "7", "note": "a ${secret.key} of 'quotes'"}
    assert shown.json()["state"] == "WAITING"
    assert client.get("/projects/shop/fires").json()["fires"] == [shown.json()]


def test_a_request_without_a_body_asks_for_a_run_as_the_spec_says(client: httpx2.Client) -> None:
    assert client.post(RUNS).json()["fire"]["variables"] == {}


def test_a_repeated_request_makes_no_second_run(client: httpx2.Client) -> None:
    key = {"idempotency-key": "deploy-42"}
    first = client.post(RUNS, json={"variables": {"limit": 5}}, headers=key)
    again = client.post(RUNS, json={"variables": {"limit": 5}}, headers=key)
    assert again.json() == {"fire": first.json()["fire"], "new": False}
    other = client.post(RUNS, json={"variables": {"limit": 6}}, headers=key)
    assert other.status_code == 409
    assert len(client.get("/projects/shop/fires").json()["fires"]) == 1
    assert client.post(RUNS, headers={"idempotency-key": "with blank"}).status_code == 400


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"nothing": 1}, 'the spec does not declare the variable "nothing"'),
        ({"limit": "many"}, "expected a whole number"),
        ({"day": None}, "is not a text, a number, true or false"),
        ({"day": ["2026-11-05"]}, "is not a text"),
        ({"note": "x" * 10_001}, "too long"),
        ({"note": "bell \x07"}, "control characters"),
        ({"place": "../.."}, "leads out of"),
        ({"place": "../../../../etc"}, "leads out of"),
        ({"host": "elsewhere.example"}, "may not change channels.hook.url"),
        (["day"], "is not an object"),
        ({f"v{n}": 1 for n in range(101)}, "at most 100"),
    ],
)
def test_variables_must_be_declared_typed_and_lead_nowhere_else(
    client: httpx2.Client, variables: object, problem: str
) -> None:
    refused = client.post(
        RUNS, content=json.dumps({"variables": variables}), headers={"content-type": "application/json"}
    )
    assert refused.status_code == 422
    assert problem in refused.json()["error"] + refused.json().get("help", "")
    assert client.get("/projects/shop/fires").json()["fires"] == []


def test_unknown_projects_scenarios_runs_and_fires_are_404_with_what_there_is(client: httpx2.Client) -> None:
    project = client.post("/projects/shap/scenarios/nightly/runs")
    assert (project.status_code, project.json()["help"]) == (404, 'did you mean "shop"?')
    scenario = client.post("/projects/shop/scenarios/nigthly/runs")
    assert (scenario.status_code, scenario.json()["help"]) == (404, 'did you mean "nightly"?')
    for path in (
        "/projects/shop/runs/none",
        "/projects/shop/fires/99",
        "/projects/shop/fires/x",
        "/nowhere",
        "/livez/",
    ):
        assert client.get(path).status_code == 404
        assert client.get(path).json()["error"]
    wrong = client.get("/reload")
    assert (wrong.status_code, wrong.headers["allow"], wrong.json()["help"]) == (405, "POST", "allowed are POST")
    assert client.post("/projects/shop/fires").status_code == 405
    assert client.options("/healthz").status_code == 405
    assert client.head("/healthz").status_code == 200


def test_a_standby_refuses_a_run_and_says_so(served: SmallServer, client: httpx2.Client) -> None:
    served.project = replace(served.project, leader=False)
    refused = client.post(RUNS)
    assert (refused.status_code, "standby" in refused.json()["error"]) == (503, True)


def test_a_state_that_is_locked_for_long_is_503_and_the_server_lives(
    served: SmallServer, client: httpx2.Client
) -> None:
    with served.store.database.begin_write():
        refused = client.post(RUNS)
        assert refused.status_code == 503
        assert client.get("/livez").status_code == 200
        assert client.get("/projects/shop/fires").status_code == 200
    assert client.post(RUNS).status_code == 202


def test_the_log_of_a_run_is_read_on_from_where_the_last_answer_ended(
    served: SmallServer, client: httpx2.Client
) -> None:
    lines = b"".join(json.dumps({"text": f"line {n} \u00e4"}, ensure_ascii=False).encode() + b"\n" for n in range(6000))
    run = start_run(served, lines + b'{"text": "not yet who')
    read, start, answers = "", 0, 0
    while True:
        log = client.get(f"/projects/shop/runs/{run.id}", params={"from": start}).json()["log"]
        read += log["text"]
        answers += 1
        assert log["from"] == start
        start = log["next"]
        if not log["more"]:
            break
    assert read.encode() == lines
    assert answers > 2
    with (served.store.runs.path_of(run.id) / "log.jsonl").open("ab") as file:
        file.write(b'le"}\n')
    log = client.get(f"/projects/shop/runs/{run.id}", params={"from": start}).json()["log"]
    assert log["text"] == '{"text": "not yet whole"}\n'
    beyond = client.get(f"/projects/shop/runs/{run.id}", params={"from": log["next"] + 1})
    assert beyond.status_code == 422
    assert client.get(f"/projects/shop/runs/{run.id}", params={"from": "-1"}).status_code == 422


def test_an_entry_longer_than_an_answer_comes_in_parts(served: SmallServer, client: httpx2.Client) -> None:
    text = "x" + "\u00e4" * 50_000 + "\n"
    run = start_run(served, text.encode())
    read, start, more = "", 0, True
    while more:
        log = client.get(f"/projects/shop/runs/{run.id}", params={"from": start}).json()["log"]
        read, start, more = read + log["text"], log["next"], log["more"]
    assert read == text


def test_a_run_tells_its_state_and_is_aborted_by_the_server_that_started_it(
    served: SmallServer, client: httpx2.Client
) -> None:
    run = start_run(served)
    path = f"/projects/shop/runs/{run.id}"
    assert client.get(path).json()["run"]["state"] == "RUNNING"
    served.started_runs.add(run.id)
    asked = client.post(f"{path}/abort", json={"by": "bob"})
    assert (asked.status_code, asked.json()) == (202, {"aborting": run.id, "ends": "at once"})
    assert served.aborted[-1] == (run.id, "bob (http 127.0.0.1)")
    served.store.runs.finish(replace(run, outcome=Outcome.ABORTED, ended=NOW))
    assert client.post(f"{path}/abort").status_code == 409


def test_the_process_of_a_run_that_somebody_else_has_started_is_asked_to_end_it(
    served: SmallServer, client: httpx2.Client
) -> None:
    run = start_run(served)
    asked = client.post(f"/projects/shop/runs/{run.id}/abort", json={"by": "bob"})
    assert (asked.status_code, asked.json()) == (202, {"aborting": run.id, "ends": "after its step"})
    assert served.store.runs.find_abort_request(run.id) == "bob (http 127.0.0.1)"
    served.store.runs.release_all()  # its process dies
    dead = client.post(f"/projects/shop/runs/{run.id}/abort")
    assert (dead.status_code, "ann@host" in dead.json()["help"]) == (409, True)


def test_a_pause_has_a_reason_an_end_and_a_name(served: SmallServer, client: httpx2.Client) -> None:
    path = "/projects/shop/scenarios/nightly"
    assert client.post(f"{path}/pause").status_code == 422
    for until in ("soon", "2020-01-01", 5, "0001-01-01", "9999999d"):
        assert client.post(f"{path}/pause", json={"reason": "repair", "until": until}).status_code == 422, until
    made = client.post(f"{path}/pause", json={"reason": "repair", "until": "2h", "by": "bob"})
    assert made.status_code == 200
    (pause,) = served.store.pauses.list_active()
    assert (pause.scenario, pause.by, pause.reason) == ("nightly", "bob (http 127.0.0.1)", "repair")
    assert pause.until is not None
    assert timedelta(minutes=119) < pause.until - datetime.now(UTC) <= timedelta(hours=2)
    (shown, _) = client.get("/projects/shop/triggers").json()["triggers"]
    assert shown["paused"]["reason"] == "repair"
    assert len(shown["next"]) == 5
    assert client.post(f"{path}/resume").json() == {"resumed": True}
    assert client.post(f"{path}/resume").json() == {"resumed": False}


def test_a_reload_tells_what_is_wrong_and_the_last_valid_spec_stays(served: SmallServer, client: httpx2.Client) -> None:
    assert client.post("/reload").status_code == 200
    write_spec(served.path.parent, SPEC.replace("kind: webhook", "kind: webhok"))
    wrong = client.post("/reload")
    assert wrong.status_code == 422
    assert "webhok" in wrong.json()["projects"][0]["problems"][0]
    assert client.post(RUNS).status_code == 202
    assert 'engine_spec_valid{project="shop"} 0.0' in client.get("/metrics").text


def test_a_value_that_holds_a_secret_is_refused_and_not_kept(
    served: SmallServer, client: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.path.write_text(f"{served.path.read_text()}secrets: {{pass: {{env: TEST_PASS}}, pin: {{env: TEST_PIN}}}}\n")
    assert client.post("/reload").status_code == 200
    monkeypatch.setenv("TEST_PASS", "correct horse")
    monkeypatch.setenv("TEST_PIN", "1234")
    for note in ("correct horse", "with correct horse in it", "Y29ycmVjdCBob3JzZQ=="):
        refused = client.post(RUNS, json={"variables": {"note": note}})
        assert (refused.status_code, 'holds the value of the secret "pass"' in refused.json()["error"]) == (422, True)
        assert "correct horse" not in refused.text
    assert client.post(RUNS, json={"variables": {"note": "order 12345"}}).status_code == 202
