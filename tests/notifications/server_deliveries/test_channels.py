"""What a server sends by itself, to real servers that refuse, hang, break off, cannot prove who they are, come back."""

import contextlib
import fcntl
import socket
import threading
import time

import pytest

from engine.notifications import channels

from ...waiting import PATIENCE
from .delivering_server import mail


def test_each_channel_gets_its_messages_in_order_as_soon_as_they_are_committed(service, start_server):
    one, two = start_server(), start_server()
    loop = service.start(service.declare(one=mail(one.port), two=mail(two.port)))
    for _ in range(10):
        service.queue("one")
        service.queue("two")
        loop.wake()
    service.wait(lambda: len(one.mails) == len(two.mails) == 10)
    assert one.subjects() == [f"m{number}" for number in range(1, 21, 2)]
    assert two.subjects() == [f"m{number}" for number in range(2, 21, 2)]
    service.queue("one")  # nobody says so: another process has committed it
    service.wait(lambda: len(one.mails) == 11, 5)
    service.wait(lambda: service.states("one") == ["SENT"] * 11)


STAGES = ("greeting", "EHLO", "MAIL", "RCPT", "DATA", "body")


@pytest.mark.parametrize("stage", [*STAGES, "taken"])
@pytest.mark.parametrize("fault", ["hang", "drop"])
def test_a_server_that_hangs_or_breaks_off_gets_everything_in_order_when_it_is_back(
    service, start_server, stage, fault
):
    server = start_server()
    server.faults = [(stage, fault)]
    ids = [service.queue("post") for _ in range(3)]
    service.start(service.declare(post=mail(server.port)))
    service.wait(lambda: "DOWN" in service.states())
    assert service.delays()["post"].failures == 1
    connections = server.connections
    time.sleep(0.3)
    assert server.connections == connections  # nothing is tried before it is due
    service.forward(seconds=61)
    service.wait(lambda: not service.waiting())
    expected = [f"<{id_}@example.com>" for id_ in ids]
    # a mail that was taken, which the server did not say, comes again with the same id
    assert server.ids() == ([expected[0], *expected] if stage == "taken" else expected)
    assert "UP" in service.states()


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "body"])
def test_a_mail_that_is_refused_for_now_is_sent_later_and_does_not_delay_others(service, start_server, stage):
    server = start_server()
    server.faults = [(stage, "451 4.7.1 not now")]
    service.queue("post")
    service.queue("post")
    service.start(service.declare(post=mail(server.port)))
    service.wait(lambda: server.subjects() == ["m2"])
    service.forward(seconds=61)
    service.wait(lambda: server.subjects() == ["m2", "m1"])
    assert "DOWN" not in service.states()


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "body"])
def test_a_mail_that_is_refused_for_good_is_not_tried_again_and_does_not_delay_others(service, start_server, stage):
    server = start_server()
    server.faults = [(stage, "550 5.7.1 never")]
    service.queue("post")
    service.queue("post")
    service.start(service.declare(post=mail(server.port)))
    service.wait(lambda: service.states() == ["REFUSED", "SENT"])
    assert server.subjects() == ["m2"]
    service.forward(hours=2)
    time.sleep(0.3)
    assert server.connections == 2
    [refused] = service.store.outbox.list_refused()
    assert "550 5.7.1 never" in refused.last_error


def test_servers_that_hang_do_not_delay_other_channels(service, start_server):
    fine = start_server()
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=50)) for _ in range(6)]
        channels = {f"silent{number}": mail(each.getsockname()[1], 1) for number, each in enumerate(silent)}
        for name in channels:
            for _ in range(3):
                service.queue(name)
        service.start(service.declare(**channels, zebra=mail(fine.port)))
        began = time.monotonic()
        service.queue("zebra")
        service.wait(lambda: fine.mails)
        assert time.monotonic() - began < 6
        service.wait(lambda: service.states().count("DOWN") == 6)
        fine.mails.clear()
        began = time.monotonic()
        service.queue("zebra")
        service.loop.wake()
        service.wait(lambda: fine.mails)
        assert time.monotonic() - began < 2


def test_a_server_that_cannot_prove_who_it_is_gets_nothing_until_the_spec_trusts_it(service, servers, certificates):
    inbox = servers.start(tls="implicit")
    plain = servers.start()
    service.queue("post")
    service.queue("naked")
    naked = f"{{kind: mail, url: 'smtp://localhost:{plain.port}?tls=starttls', from: e@example.com}}"
    url = f"smtps://localhost:{inbox.port}"
    loop = service.start(
        service.declare(post=f"{{kind: mail, url: '{url}', from: e@example.com, timeout: 5}}", naked=naked)
    )
    service.wait(lambda: service.states().count("DOWN") == 2)
    assert "certificate verify failed" in service.delays()["post"].last_error
    assert "STARTTLS" in service.delays()["naked"].last_error
    assert inbox.mails == plain.mails == []
    trusting = f"{{kind: mail, url: '{url}?ca={certificates.ca}', from: e@example.com, timeout: 5}}"
    loop.replace_project(service.declare(post=trusting, naked=naked))  # it is tried at once
    service.wait(lambda: len(inbox.mails) == 1)
    assert plain.mails == []


def test_a_bug_in_one_channel_or_message_does_not_stop_the_others(service, start_server):
    server = start_server()
    service.queue("broken")
    service.queue("post")
    service.start(
        service.declare(
            broken="{kind: mail, url: 'smtp://127.0.0.1:1?ca=%00&tls=starttls', from: e@example.com}",
            post=mail(server.port),
        )
    )
    service.wait(lambda: server.mails and "PENDING" in service.states("broken"))
    [event] = [event for event in service.events if event.channel == "broken"]
    assert event.text.startswith("internal error: ValueError")


@pytest.mark.parametrize("kind", ["mail", "webhook"])
def test_a_server_that_answers_a_byte_at_a_time_is_cut_off_and_holds_no_thread(service, kind):
    ended = threading.Event()

    def drip() -> None:
        connection, _ = slow.accept()
        with connection:
            if kind == "webhook":
                connection.recv(100_000)
            with contextlib.suppress(OSError):
                while True:
                    connection.sendall(b"2" if kind == "mail" else b"HTTP/1.1 200 OK\r\nX-A: b\r\n"[:1])
                    time.sleep(0.1)
        ended.set()

    with socket.create_server(("127.0.0.1", 0)) as slow:
        threading.Thread(target=drip, daemon=True).start()
        port = slow.getsockname()[1]
        webhook = f"{{kind: webhook, url: 'http://127.0.0.1:{port}/', timeout: 1}}"
        service.queue("post")
        service.start(service.declare(post=mail(port) if kind == "mail" else webhook))
        service.wait(lambda: "DOWN" in service.states())
        assert "it was not delivered in 2 s" in service.delays()["post"].last_error
        assert ended.wait(PATIENCE)
        service.wait(lambda: not any(thread.name == "sending" for thread in threading.enumerate()))


@pytest.mark.slow
def test_a_channel_whose_sending_cannot_be_stopped_is_not_used_again_before_it_has_ended(service, monkeypatch):
    monkeypatch.setattr(channels, "SENDING_SECONDS", 2.0)
    lock = service.folder / ".rows.csv.lock"
    lock.touch()
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        service.queue("rows")
        service.queue("rows")
        service.start(service.declare(rows="{kind: dataset, path: rows.csv}"))
        service.wait(lambda: "DOWN" in service.states())
        for _ in range(5):
            service.forward(hours=1)
            time.sleep(0.2)
        assert [thread.name for thread in threading.enumerate()].count("sending") == 1
        assert service.states() == ["PENDING", "DOWN"]
    service.wait(lambda: service.states().count("SENT") == 2)
    rows = (service.folder / "rows.csv").read_text().splitlines()
    assert [row.rpartition(",")[2] for row in rows[1:]] == ['"m1"', '"m2"']
