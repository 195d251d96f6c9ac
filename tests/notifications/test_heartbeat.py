"""The heartbeat of a server: it comes while all is well, and stops when somebody ought to look."""

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from engine.service.deliveries.channel_turn import DeliveryEvent
from engine.service.deliveries.heartbeat import Heartbeat
from engine.service.project_threads import HeartbeatOptions, ProjectThreads
from engine.spec import ProjectSpec, load
from engine.store import Store

from ..waiting import wait_for

EVERY = timedelta(seconds=0.2)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "state") as store:
        yield store


def declare(folder: Path, channel: str) -> ProjectSpec:
    path = folder / "p.yaml"
    path.write_text(f"version: 1\nproject: fraud\nchannels:\n  alive: {channel}\n", encoding="utf-8")
    return load(path, environ={})


def test_a_heartbeat_comes_at_regular_times_until_the_server_stops(tmp_path, store, webhook):
    project = declare(tmp_path, f"{{kind: webhook, url: 'http://127.0.0.1:{webhook.port}/ping'}}")
    events: list[DeliveryEvent] = []
    heartbeat = Heartbeat(store, project, "alive", EVERY, {}, find_problem=lambda: "", report=events.append)
    heartbeat.start()
    wait_for(lambda: len(webhook.posts) >= 3, "the heartbeats")
    heartbeat.stop(5)
    count = len(webhook.posts)
    time.sleep(3 * EVERY.total_seconds())
    assert len(webhook.posts) == count
    assert webhook.posts[0]["subject"] == "fraud: engine serve is running"
    assert len({post["id"] for post in webhook.posts}) == count
    assert {event.state for event in events} == {"SENT"}
    assert store.outbox.list_unsent() == []


def test_a_channel_that_a_reload_declares_gets_the_heartbeat(tmp_path, store, webhook):
    before = declare(tmp_path, f"{{kind: file, path: '{tmp_path}'}}")
    options = HeartbeatOptions("pulse", EVERY)
    threads = ProjectThreads(store, before, {}, options, lambda: "", lambda *_, **__: None)
    threads.start()
    path = tmp_path / "p.yaml"
    path.write_text(
        path.read_text() + f"  pulse: {{kind: webhook, url: 'http://127.0.0.1:{webhook.port}/ping'}}\n", "utf-8"
    )
    threads.replace_project(load(path, environ={}))
    wait_for(lambda: webhook.posts, "the heartbeats")
    threads.stop(5)


def test_there_is_no_heartbeat_while_the_scheduler_does_not_tick_and_it_comes_back(tmp_path, store, webhook):
    project = declare(tmp_path, f"{{kind: webhook, url: 'http://127.0.0.1:{webhook.port}/ping'}}")
    events: list[DeliveryEvent] = []
    trouble = ["the scheduler has not ticked for 31 s"]
    heartbeat = Heartbeat(store, project, "alive", EVERY, {}, find_problem=lambda: trouble[-1], report=events.append)
    heartbeat.start()
    wait_for(lambda: len(events) >= 3, "the events")
    assert webhook.posts == []
    assert events[0].text == "no heartbeat, because the scheduler has not ticked for 31 s"
    trouble.append("")
    wait_for(lambda: webhook.posts, "the heartbeats")
    heartbeat.stop(5)


def test_a_heartbeat_that_cannot_be_sent_is_reported_and_not_queued(tmp_path, store):
    project = declare(tmp_path, "{kind: webhook, url: 'http://127.0.0.1:1/ping'}")
    events: list[DeliveryEvent] = []
    heartbeat = Heartbeat(store, project, "alive", EVERY, {}, find_problem=lambda: "", report=events.append)
    heartbeat.start()
    wait_for(lambda: len(events) >= 2, "the events")
    heartbeat.stop(5)
    assert {event.state for event in events} == {"DROPPED"}
    assert "Connection refused" in events[0].text
    assert store.outbox.list_unsent() == []


def test_a_mail_heartbeat_goes_to_the_address_of_its_channel(tmp_path, store, servers):
    inbox = servers.start()
    url = f"smtp://127.0.0.1:{inbox.port}?tls=none"
    project = declare(tmp_path, f"{{kind: mail, url: '{url}', from: ops@example.com}}")
    heartbeat = Heartbeat(store, project, "alive", EVERY, {}, find_problem=lambda: "", report=lambda _: None)
    heartbeat.start()
    wait_for(lambda: inbox.mails, "the mail")
    heartbeat.stop(5)
    assert inbox.mails[0][0] == ["ops@example.com"]


FULL = """
import resource, sys, time
from datetime import timedelta
from pathlib import Path
from engine.service.deliveries.heartbeat import Heartbeat
from engine.spec import load
from engine.store import Store

folder = Path(sys.argv[1])
with Store.open(folder / "state") as store:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    said = []
    heartbeat = Heartbeat(store, load(folder / "p.yaml", environ={}), "alive", timedelta(seconds=60), {},
                          find_problem=lambda: "", report=said.append)
    heartbeat.start()
    while not said:
        time.sleep(0.05)
    print(said[0].state, said[0].text)
"""


def test_there_is_no_heartbeat_while_the_state_cannot_be_written(tmp_path, webhook):
    declare(tmp_path, f"{{kind: webhook, url: 'http://127.0.0.1:{webhook.port}/ping'}}")
    done = subprocess.run(
        [sys.executable, "-c", FULL, tmp_path], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.startswith("DROPPED the heartbeat was not sent: state folder"), done.stdout + done.stderr
    assert webhook.posts == []
