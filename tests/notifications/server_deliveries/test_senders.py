"""A server and others that send the messages of one state: no message is sent twice, and none is forgotten."""

import os
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from engine.errors import SpecError
from engine.notifications import deliver_messages
from engine.notifications.attempt import claim_seconds
from engine.notifications.channels import limit_sending
from engine.service.deliveries.delivery_loop import DeliveryLoop
from engine.spec import Secrets, load
from engine.store import LONGEST_DELAY, Store

from .delivering_server import Service, mail


def test_a_run_by_hand_and_the_server_never_send_the_same_message(service, start_server):
    server = start_server()
    project = service.declare(post=mail(server.port, 5))
    for _ in range(30):
        service.queue("post")
    service.start(project)
    with Store.open(service.folder / "state", now=service.clock) as store:
        deliver_messages(store, project, Secrets(project, {}), "run later")
    service.wait(lambda: len(server.mails) == 30)
    assert sorted(server.subjects()) == sorted(f"m{number}" for number in range(1, 31))


def test_what_a_run_by_hand_sends_tells_the_server_that_the_channel_works(service, start_server):
    server = start_server()
    server.faults = [("greeting", "drop")]
    project = service.declare(post=mail(server.port, 5))
    service.queue("post")
    service.start(project)
    service.wait(lambda: "DOWN" in service.states())
    waiting = service.store.outbox.list_undelivered()
    service.queue("post")
    deliver_messages(service.store, project, Secrets(project, {}), "run later", messages=waiting)
    service.wait(lambda: server.subjects() == ["m1", "m2"], 6)


def test_what_a_run_by_hand_could_not_send_is_not_delayed_for_the_server(service, start_server):
    server = start_server()
    server.faults = [("greeting", "drop")]
    project = service.declare(post=mail(server.port, 5))
    service.queue("post")
    deliver_messages(service.store, project, Secrets(project, {}), "run later")
    assert server.mails == []
    service.start(project)
    service.wait(lambda: server.subjects() == ["m1"], 5)


def test_a_claim_lasts_longer_than_any_sending_may_take(service):
    channels = {
        "post": mail(1, 120),
        "hook": "{kind: webhook, url: 'http://127.0.0.1:1/', timeout: 120}",
        "program": "{kind: command, argv: [cat], timeout: 120}",
        "chat": "{kind: apprise, url: 'json://127.0.0.1:1/'}",
        "box": "{kind: file, path: box}",
        "rows": "{kind: dataset, path: rows.csv}",
    }
    for channel in service.declare(**channels).channels.values():
        assert timedelta(minutes=1) < claim_seconds(channel) - timedelta(seconds=limit_sending(channel))
        assert (
            claim_seconds(channel) < LONGEST_DELAY
        )  # a longer one would count as one of before the clock was set back
    with pytest.raises(SpecError, match="timeout"):
        service.declare(post=mail(1, 600))


def test_a_person_who_asks_for_a_new_try_makes_the_server_send_within_seconds(tmp_path, start_server):
    """The person's own try fails, because the secret is only in the environment of the server."""
    server = start_server()
    server.faults = [("greeting", "drop")]
    spec = tmp_path / "p.yaml"
    spec.write_text(
        "version: 1\nproject: p\nsecrets: {smtp: {env: SMTP_URL}}\nchannels:\n"
        "  post: {kind: mail, url: '${secret.smtp}', from: e@example.com, timeout: 5}\n",
        encoding="utf-8",
    )
    service = Service(tmp_path)
    service.store.close()
    state = tmp_path / ".engine" / "p"
    service.store = Store.open(state)
    service.queue("post")
    environ = {"SMTP_URL": f"smtp://127.0.0.1:{server.port}?tls=none"}
    loop = DeliveryLoop(state, load(spec, environ={}), environ, report=service.events.append)
    loop.start()
    service.wait(lambda: "DOWN" in service.states())
    asked = subprocess.run(
        [Path(sys.executable).with_name("engine"), "outbox", "retry", spec],
        env={name: value for name, value in os.environ.items() if name != "SMTP_URL"},
        capture_output=True,
        text=True,
        check=False,
    )
    service.wait(lambda: server.subjects() == ["m1"], 6)
    assert asked.returncode == 4, asked.stdout + asked.stderr
    loop.stop(3)
    service.store.close()


SENDER = """
import sys, time
from pathlib import Path
from engine.service.deliveries.delivery_loop import DeliveryLoop
from engine.spec import load

folder = Path(sys.argv[1])
loop = DeliveryLoop(folder / "state", load(folder / "p.yaml", environ={}), {}, report=lambda event: None)
loop.start()
time.sleep(60)
"""


def test_what_a_killed_server_was_sending_is_sent_by_the_next_one_when_its_claim_has_expired(service, start_server):
    server = start_server()
    server.faults = [("body", "hang")]
    project = service.declare(post=mail(server.port, 20))
    service.queue("post")
    service.queue("post")
    with subprocess.Popen([sys.executable, "-c", SENDER, service.folder]) as killed:
        service.wait(lambda: server.connections == 1)
        time.sleep(0.3)
        killed.send_signal(signal.SIGKILL)
    service.start(project)
    service.wait(lambda: server.subjects() == ["m2"])
    time.sleep(0.5)
    assert server.subjects() == ["m2"]
    service.forward(seconds=4 * 20 + 63)  # as long as a mail may take, and a minute
    service.wait(lambda: server.subjects() == ["m2", "m1"])
    assert server.ids()[-1] == "<m1@example.com>"


def test_a_stop_sends_what_is_due_and_does_not_wait_for_a_server_that_hangs(service, start_server):
    fine = start_server()
    with socket.create_server(("127.0.0.1", 0), backlog=50) as silent:
        loop = service.start(service.declare(post=mail(fine.port), silent=mail(silent.getsockname()[1], 20)))
        service.queue("silent")
        loop.wake()
        time.sleep(0.3)
        for _ in range(5):
            service.queue("post")
        began = time.monotonic()
        loop.stop(1.5)
        assert time.monotonic() - began < 3
        assert len(fine.mails) == 5


@pytest.mark.parametrize("optional", [False, True])
def test_an_absent_secret_is_reported_once_and_messages_are_sent_soon_after_it_is_there(
    service, start_server, optional
):
    server, environ = start_server(), {}
    (service.folder / "p.yaml").write_text(
        f"version: 1\nproject: p\nsecrets: {{smtp: {{env: SMTP_URL, optional: {str(optional).lower()}}}}}\nchannels:\n"
        "  post: {kind: mail, url: '${secret.smtp}', from: e@example.com, timeout: 5}\n",
    )
    project = load(service.folder / "p.yaml", environ={})
    for _ in range(3):
        service.queue("post")
    claim = service.store.outbox.claim("m1", timedelta(minutes=1))
    service.store.outbox.mark_failed(claim, "an earlier try", service.clock())
    loop = service.start(project, environ)
    service.wait(lambda: service.states() == ["PENDING", "DOWN"])
    assert "smtp" in service.events[0].text
    for _ in range(5):
        before = service.delays()["post"].next_try
        service.forward(seconds=61)
        service.wait(lambda before=before: service.delays()["post"].next_try > before)
    assert service.states() == ["PENDING", "DOWN"]
    assert service.store.outbox.find("m1").tries == 2
    assert "smtp" in service.store.outbox.find("m3").last_error
    loop.stop(3)
    environ["SMTP_URL"] = f"smtp://127.0.0.1:{server.port}"
    service.start(project, environ)  # a restart does not lengthen the wait
    service.forward(seconds=61)
    service.wait(lambda: len(server.mails) == 3)
    assert server.subjects() == ["m1", "m2", "m3"]
    service.wait(lambda: "UP" in service.states())
