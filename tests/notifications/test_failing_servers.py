"""The outbox and mail servers that hang, break off, refuse a login, or repeat what is secret."""

import contextlib
import socket
import threading
import time

import pytest

from engine.notifications import DeliveryTime
from engine.spec import load
from engine.store import MessageState

from .office import PASSWORD


def test_a_server_that_says_nothing_costs_one_timeout_however_many_messages_wait(office):
    with socket.create_server(("127.0.0.1", 0), backlog=50) as silent:
        office.environ["SMTP_URL"] = f"smtp://127.0.0.1:{silent.getsockname()[1]}"
        for _ in range(20):
            office.queue("ops_mail", "a@example.com")
        timeout = office.project.channels["ops_mail"].timeout
        began = time.monotonic()
        found = office.deliver()
    assert time.monotonic() - began < 2 * timeout + 5
    reasons = [reason for state, reason in found if state is MessageState.PENDING]
    assert len(reasons) == 20
    assert "did not answer in" in reasons[0]
    assert all(
        reason.startswith("not tried, because an earlier message to this channel failed") for reason in reasons[1:]
    )


def test_a_server_that_answers_a_byte_at_a_time_is_given_up(office):
    def drip() -> None:
        connection, _ = slow.accept()
        with connection, contextlib.suppress(OSError):
            while not given_up.wait(0.2):
                connection.sendall(b"2")

    office.spec.write_text(office.spec.read_text().replace("timeout: 2\n", "timeout: 0.5\n"))
    given_up = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as slow:
        office.environ["SMTP_URL"] = f"smtp://127.0.0.1:{slow.getsockname()[1]}"
        server = threading.Thread(target=drip)
        server.start()
        office.queue("ops_mail", "a@example.com")
        assert office.deliver(project=load(office.spec, environ={})) == [
            (MessageState.PENDING, "it was not delivered in 2 s")
        ]
        given_up.set()
        server.join()


def test_a_server_that_repeats_the_password_does_not_get_it_into_the_reason(office, servers):
    inbox = servers.start()
    inbox.refuse = {"a@example.com": f"550 you are not Zq7user with {PASSWORD}"}
    # Another channel's secret, so that no login is needed to have it said back.
    office.environ["NEEDED"] = PASSWORD
    office.environ["SMTP_URL"] = f"smtp://127.0.0.1:{inbox.port}"
    office.queue("ops_mail", "a@example.com")
    [(_, reason)] = office.deliver()
    assert reason == "refused for good: 127.0.0.1: a@example.com: 550 you are not Zq7user with ***"
    [message] = office.store.outbox.list_refused()
    assert message.last_error == reason.removeprefix("refused for good: ")
    assert "Zq7planted" not in str(message.refused)


@pytest.mark.parametrize("url", ["smtp://{}:{}@127.0.0.1:1", "smtp://{}:{}@127.0.0.1:1x", "{} {}", "smtp://{}/{}"])
def test_credentials_are_in_no_reason_and_no_log(office, root_log, url, tmp_path):
    office.environ["SMTP_URL"] = url.format("Zq7user", PASSWORD)
    office.queue("ops_mail", "a@example.com")
    [(state, reason)] = office.deliver()
    assert state is MessageState.PENDING
    assert "Zq7" not in reason + root_log.getvalue()
    assert all(b"Zq7" not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_many_silent_servers_share_one_limit_of_time_and_do_not_delay_other_channels(office):
    with contextlib.ExitStack() as stack:
        lines = []
        for number in range(6):
            silent = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=50))
            url = f"smtp://127.0.0.1:{silent.getsockname()[1]}"
            lines.append(f"  silent{number}: {{kind: mail, url: '{url}', from: e@example.com}}\n")
        office.spec.write_text(office.spec.read_text().replace("scenarios:\n", "".join(lines) + "scenarios:\n"))
        project = load(office.spec, environ={})
        for number in range(6):
            for _ in range(5):
                office.queue(f"silent{number}", "a@example.com")
        office.queue("files")
        began = time.monotonic()
        found = office.deliver(project=project, time_of_run=DeliveryTime(left=3))
        assert time.monotonic() - began < 6
        assert [reason for state, reason in found if state is MessageState.SENT] == ["files in outbox"]
        pending = [reason for state, reason in found if state is MessageState.PENDING]
        assert len(pending) == 30
        assert all(pending)
        assert all(message.last_error for message in office.store.outbox.list_undelivered())
        nothing_left = office.deliver(project=project, time_of_run=DeliveryTime(left=0))
        assert {reason for _, reason in nothing_left} == {
            "not tried, because the deliveries of a run may take 120 s, which were over"
        }


def test_a_message_that_breaks_the_connection_does_not_keep_the_others_waiting_for_ever(office, servers):
    inbox = servers.start()
    inbox.refuse = {"poison@example.com": "421 4.3.0 the virus scanner has crashed"}
    office.environ["SMTP_URL"] = f"smtp://127.0.0.1:{inbox.port}"
    office.queue("ops_mail", "poison@example.com")
    office.queue("ops_mail", "a@example.com")
    for _ in range(4):
        office.deliver()
    assert [recipients for recipients, _ in inbox.mails] == [["a@example.com"]]
    assert [message.to for message in office.store.outbox.list_undelivered()] == [("poison@example.com",)]


def test_a_refused_login_waits_for_its_repair(office, servers):
    inbox = servers.start()
    inbox.answer_data = ["554 5.7.1 this looks like spam"]
    office.environ["SMTP_URL"] = f"smtp://user:{PASSWORD}@127.0.0.1:{inbox.port}"
    office.queue("ops_mail", "a@example.com")
    [(state, _)] = office.deliver()
    assert state is MessageState.PENDING
    office.environ["SMTP_URL"] = f"smtp://127.0.0.1:{inbox.port}"
    [(state, reason)] = office.deliver()
    assert (state, reason) == (
        MessageState.REFUSED,
        "refused for good: 127.0.0.1: 554 5.7.1 this looks like spam",
    )
