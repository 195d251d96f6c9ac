"""Runs that a server starts commit their messages and send none; what cannot be committed is sent all the same."""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.pipeline.log import LogLine
from engine.scenarios.process import Conversation, run_in_process
from engine.scenarios.requests import RunRequest
from engine.service.deliveries.channel_turn import DeliveryEvent
from engine.service.deliveries.delivery_loop import DeliveryLoop
from engine.spec import load
from engine.store import Store, generate_id, utc_now

from ..waiting import wait_for

MODULE = """
    import resource

    def warn():
        return "WARNING", "mind the gap"

    def limit():
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        return "WARNING", "mind the gap"
"""
SPEC = """
    channels:
      box: {kind: file, path: told}
      silent: {kind: mail, url: "smtp://127.0.0.1:PORT?tls=none", from: e@example.com}
    scenarios:
      nightly:
        steps:
          - {name: it, kind: python, function: "mine:FUNCTION"}
          - {name: say, kind: send_message, channel: box, message: so far so good, timeout: 60}
          - {name: also, kind: run_scenario, scenario: child}
        reporters:
          - {name: start, channel: box, at: start, message: begins}
          - {name: tell, channel: box, message: "${outcome}"}
          - {name: slow, channel: silent, to: [a@example.com]}
      child:
        steps: [{name: it, kind: python, function: "mine:warn"}]
        reporters: [{name: childs, channel: box, message: "${outcome}"}]
"""


@pytest.fixture
def request_run(spec: Callable[[str], Path], module: Callable[[str], None]) -> Callable[[str, str], Conversation]:
    """Ask for a run of the function `mine:…` that does not deliver."""
    module(MODULE)

    def request(function: str, text: str) -> Conversation:
        path = spec(text.replace("FUNCTION", function))
        lines: list[LogLine] = []
        run = generate_id(utc_now())
        asked = RunRequest(spec=path, variables={}, scenarios=("nightly",), run=run, trigger="cron", deliver=False)
        return run_in_process(asked, os.environ, pass_on=lines.append)

    return request


def test_a_run_that_only_commits_waits_for_no_server_and_the_loop_sends_what_it_left(tmp_path, request_run):
    with socket.create_server(("127.0.0.1", 0), backlog=50) as silent:
        began = time.monotonic()
        reply = request_run("warn", SPEC.replace("PORT", str(silent.getsockname()[1])))
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody has called
            silent.accept()
    assert time.monotonic() - began < 60
    assert reply.failure == ""
    [run] = reply.runs
    assert {(each.state, each.reason) for each in run.deliveries} == {("PENDING", "the server sends it")}
    assert {each.reporter for each in run.deliveries} == {"start", "say", "tell", "slow"}
    assert reply.call is not None
    assert reply.call.undelivered == ()
    assert not (tmp_path / "told").exists()
    state = next(tmp_path.rglob("state.db")).parent
    with Store.open(state) as store:
        waiting = [one.reporter for one in store.outbox.list_undelivered()]
        assert waiting == ["start", "say", "childs", "tell", "slow"]
        assert not any(event.kind == "delivery" for event in store.runs.get(run.id).events)
        events: list[DeliveryEvent] = []
        [spec] = tmp_path.glob("*.yaml")
        loop = DeliveryLoop(state, load(spec, environ={}), {}, report=events.append)
        loop.start()
        expected = ["DOWN", "PENDING", *["SENT"] * 4]
        wait_for(lambda: sorted(event.state for event in events) == expected, lambda: f"{expected} after {events}")
        loop.stop(5)
        told = [event.what for event in store.runs.get(run.id).events if event.kind == "delivery"]
        receipts = [one.receipt for one in store.outbox.list_of_run(run.id) if one.receipt]
    assert [receipt.by for receipt in receipts] == ["the server"] * 3
    assert len(told) == 1
    assert told[0].startswith("slow to silent: PENDING: 127.0.0.1:")


def test_what_a_run_cannot_commit_it_sends_itself(tmp_path, request_run):
    with socket.create_server(("127.0.0.1", 0), backlog=50) as called:
        called.settimeout(60)
        text = SPEC.replace("timeout: 60", "timeout: 1")
        reply = request_run(
            "limit",
            text.replace("from: e@example.com", "from: e@example.com, timeout: 1").replace(
                "PORT", str(called.getsockname()[1])
            ),
        )
        connection, _ = called.accept()  # the run has called the mail server past the outbox
        connection.close()
    assert "state folder" in reply.failure
