"""The outbox through real channels: sent once, kept while a channel is down, sent when it is back."""

import contextlib
import dataclasses
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path
from unittest.mock import ANY

import pytest

from engine.notifications import DeliveryTime, RunFacts, compose_message, deliver_messages
from engine.notifications.attempt import REMARK_CHARACTERS
from engine.outcome import Outcome
from engine.spec import ProjectSpec, Secrets, load
from engine.spec.conditions import ConditionFacts
from engine.spec.resources.scenarios import Reporter
from engine.store import MessageState, RunRecord, Store, generate_id

PASSWORD = "Zq7planted"


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 1, 38, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> None:
        self.now += timedelta(**by)


class Office:
    """A project with its store, and a run that says things."""

    def __init__(self, spec: Path, store: Store, clock: Clock) -> None:
        self.spec, self.store, self.clock = spec, store, clock
        self.environ: dict[str, str] = {}
        self.project = load(spec, environ={})

    def queue(self, channel: str, *to: str, outcome: Outcome = Outcome.WARNING) -> str:
        """Finish a run whose reporter sends through `channel`; return the message's id."""
        now = self.clock()
        run = RunRecord(generate_id(now), self.project.name, "monitor", now, "me@here")
        facts = RunFacts(self.project.name, "monitor", run.id, now, ConditionFacts(outcome=outcome), ended=now)
        reporter = Reporter(name="r", channel=channel, to=list(to), subject=f"to {', '.join(to)}")
        secrets = Secrets(self.project, self.environ)
        message = compose_message(reporter, facts, secrets, message_id=generate_id(now), now=now, csv_of=lambda _: ())
        self.store.runs.start(run)
        self.store.runs.finish(dataclasses.replace(run, ended=now, outcome=outcome), [message])
        return message.id

    def deliver(
        self, *, project: ProjectSpec | None = None, time_of_run: DeliveryTime | None = None
    ) -> list[tuple[MessageState, str]]:
        project = project or self.project
        secrets = Secrets(project, self.environ)
        found = deliver_messages(self.store, project, secrets, "run later", time_of_run=time_of_run)
        return [(delivery.state, delivery.reason) for delivery in found]


@pytest.fixture
def office(spec_file: Path, tmp_path: Path) -> Iterator[Office]:
    clock = Clock()
    with Store.open(tmp_path / ".engine", now=clock) as store:
        yield Office(spec_file, store, clock)


SENT = (MessageState.SENT, ANY)  # where to is told too


def test_a_message_is_sent_once(office, servers):
    inbox = servers.start()
    office.environ["SMTP_URL"] = f"smtp://127.0.0.1:{inbox.port}"
    office.queue("ops_mail", "a@example.com")
    assert office.deliver() == [SENT]
    assert office.deliver() == []
    assert office.store.outbox.list_undelivered() == []
    assert [recipients for recipients, _ in inbox.mails] == [["a@example.com"]]


def test_messages_go_in_order_and_one_failure_stops_no_other(office, servers):
    inbox = servers.start()
    office.environ["SMTP_URL"] = f"smtp://127.0.0.1:{inbox.port}"
    inbox.refuse = {"b@example.com": "550 5.1.1 no such user"}
    for name in "abc":
        office.queue("ops_mail", f"{name}@example.com")
    states = office.deliver()
    assert [state for state, _ in states] == [MessageState.SENT, MessageState.REFUSED, MessageState.SENT]
    assert states[1][1] == "refused for good: 127.0.0.1: b@example.com: 550 5.1.1 no such user"
    assert [mail["Subject"] for _, mail in inbox.mails] == ["to a@example.com", "to c@example.com"]
    [refused] = office.store.outbox.list_refused()
    assert refused.last_error == "127.0.0.1: b@example.com: 550 5.1.1 no such user"
    assert office.store.outbox.list_undelivered() == []


def test_what_nobody_foresaw_in_one_channel_stops_no_other(office):
    office.environ["SMTP_URL"] = f"smtp://user:{PASSWORD}@127.0.0.1?ca=%00"
    office.queue("ops_mail", "a@example.com")
    office.queue("files")
    first, second = office.deliver()
    assert first == (MessageState.PENDING, "internal error: ValueError: embedded null byte")
    assert second == SENT


def test_a_server_that_is_down_gets_the_same_message_once_it_is_back(office, servers):
    inbox = servers.start()
    servers.stop()
    office.environ["SMTP_URL"] = f"smtp://127.0.0.1:{inbox.port}"
    id_ = office.queue("ops_mail", "a@example.com")
    refused = (MessageState.PENDING, f"127.0.0.1:{inbox.port}: Connection refused")
    assert office.deliver() == [refused]
    assert office.deliver() == [refused]
    back = servers.start(port=inbox.port)
    assert office.deliver() == [SENT]
    assert office.deliver() == []
    [(_, mail)] = back.mails
    assert mail["Message-ID"] == f"<{id_}@example.com>"


def test_a_greylisting_server_takes_the_same_mail_later(office, servers):
    inbox = servers.start()
    office.environ["SMTP_URL"] = f"smtp://127.0.0.1:{inbox.port}"
    inbox.answer_data = ["451 4.7.1 greylisted, come back in a minute"]
    id_ = office.queue("ops_mail", "a@example.com")
    reason = "127.0.0.1: 451 4.7.1 greylisted, come back in a minute"
    assert office.deliver() == [(MessageState.PENDING, reason)]
    assert office.deliver() == [SENT]
    [(_, mail)] = inbox.mails
    assert mail["Message-ID"] == f"<{id_}@example.com>"
    assert mail["Date"].datetime == datetime(2026, 11, 23, 1, 38, tzinfo=UTC)


def test_only_refused_recipients_are_tried_again(office, servers):
    inbox = servers.start()
    office.environ["SMTP_URL"] = f"smtp://127.0.0.1:{inbox.port}"
    inbox.refuse = {"b@example.com": "450 4.2.2 mailbox full"}
    office.queue("ops_mail", "a@example.com", "B <b@example.com>", "c@example.com")
    assert office.deliver() == [(MessageState.PENDING, "127.0.0.1: b@example.com: 450 4.2.2 mailbox full")]
    assert office.store.outbox.list_undelivered()[0].reached == ("a@example.com", "c@example.com")
    inbox.refuse = {}
    assert office.deliver() == [SENT]
    assert [recipients for recipients, _ in inbox.mails] == [["a@example.com", "c@example.com"], ["b@example.com"]]


def test_a_message_in_another_senders_hands_is_left_there(office):
    id_ = office.queue("files")
    claim = office.store.outbox.claim(id_, timedelta(minutes=5))
    assert office.deliver() == [(MessageState.PENDING, "another process is sending it")]
    office.clock.forward(minutes=5)
    assert office.deliver() == [SENT]
    assert claim is not None


def test_messages_to_a_channel_that_is_gone_are_dropped_which_is_said_once(office):
    office.queue("mail_only", "a@example.com")
    lines = office.spec.read_text().splitlines(keepends=True)
    office.spec.write_text("".join(line for line in lines if not line.startswith("  mail_only:")))
    gone = load(office.spec, environ={})
    [(state, reason)] = office.deliver(project=gone)
    assert (state, reason) == (
        MessageState.DROPPED,
        "dropped: the spec does not declare this channel any more",
    )
    assert office.deliver(project=gone) == []
    assert office.deliver() == []


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


def test_an_absent_secret_uses_otherwise_and_without_one_says_so(office, tmp_path):
    office.queue("ops_mail", "a@example.com")
    office.queue("mail_only", "a@example.com")
    office.queue("needs_secret", "a@example.com")
    sent, absent, required = office.deliver()
    assert sent == (MessageState.SENT, "files in outbox, because the secret smtp_url is absent")
    assert "the secret smtp_url in the url of this channel is absent" in absent[1]
    assert "the environment variable NEEDED is not set" in required[1]
    [file] = (tmp_path / "outbox").iterdir()
    mail = message_from_bytes(file.read_bytes(), policy=policy.default)
    assert (mail["From"], mail["To"]) == ("dss@example.com", "a@example.com")


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # apprise's, at its first use
def test_a_webhook_is_told_the_runs_outcome(office, webhook):
    office.environ["HOOK_URL"] = f"json://127.0.0.1:{webhook.port}/alerts"
    office.queue("hook", outcome=Outcome.WARNING)
    office.queue("hook", outcome=Outcome.FAILED)
    assert office.deliver() == [SENT, SENT]
    assert [post["type"] for post in webhook.posts] == ["warning", "failure"]


def test_two_senders_at_once_send_each_message_once(office, servers):
    inbox = servers.start()
    office.environ["SMTP_URL"] = f"smtp://127.0.0.1:{inbox.port}"
    ids = {office.queue("ops_mail", "a@example.com") for _ in range(6)}

    def send() -> list[MessageState]:
        with Store.open(office.store.folder, now=office.clock) as store:
            secrets = Secrets(office.project, office.environ)
            return [delivery.state for delivery in deliver_messages(store, office.project, secrets, "run later")]

    with ThreadPoolExecutor(2) as pool:
        states = [sending.result() for sending in [pool.submit(send), pool.submit(send)]]
    assert sum(state is MessageState.SENT for found in states for state in found) == 6
    assert sorted(mail["Message-ID"] for _, mail in inbox.mails) == sorted(f"<{id_}@example.com>" for id_ in ids)
    assert office.store.outbox.list_undelivered() == []


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


def test_many_silent_servers_share_one_time_and_keep_no_other_channel_waiting(office):
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


def test_after_a_weekend_the_newest_messages_are_sent_and_the_oldest_of_them_tells_of_the_others(office, servers):
    ids = []
    for _ in range(96):
        ids.append(office.queue("ops_mail", "a@example.com"))
        office.clock.forward(minutes=30)
    inbox = servers.start()
    office.environ["SMTP_URL"] = f"smtp://127.0.0.1:{inbox.port}"
    began = office.clock()
    office.queue("ops_mail", "a@example.com")
    found = office.deliver(time_of_run=DeliveryTime(began))
    assert [state for state, _ in found].count(MessageState.DROPPED) == 91
    assert [state for state, _ in found].count(MessageState.SENT) == 6
    oldest = inbox.mails[0][1]
    assert oldest["Message-ID"] == f"<{ids[91]}@example.com>"
    for kind in ("plain", "html"):
        text = oldest.get_body((kind,)).get_content()
        assert "91 earlier messages of this reporter could not be sent" in text
        assert "2026-11-23 01:38 UTC to a@example.com" in text
        assert "and 71 more" in text
    assert "earlier messages" not in inbox.mails[1][1].get_body(("plain",)).get_content()
    assert len(office.store.outbox.list_unsent()) == 91
    assert all(
        message.last_error == f"told of by the later message {ids[91]}" for message in office.store.outbox.list_unsent()
    )


def test_what_was_joined_before_is_told_by_the_message_that_is_sent_at_last(office, servers):
    office.environ["SMTP_URL"] = "smtp://127.0.0.1:1"
    for _ in range(20):
        office.queue("ops_mail", "a@example.com")
        office.clock.forward(minutes=30)
        office.deliver(time_of_run=DeliveryTime(office.clock()))
    assert len(office.store.outbox.list_undelivered()) == 5
    inbox = servers.start()
    office.environ["SMTP_URL"] = f"smtp://127.0.0.1:{inbox.port}"
    office.deliver(time_of_run=DeliveryTime(office.clock()))
    assert len(inbox.mails) == 5
    told = [mail.get_body(("plain",)).get_content() for _, mail in inbox.mails]
    assert sum("15 earlier messages of this reporter" in text for text in told) == 1


def test_a_recipient_who_is_refused_for_good_is_told_while_another_is_tried_again(office, servers):
    inbox = servers.start()
    office.environ["SMTP_URL"] = f"smtp://127.0.0.1:{inbox.port}"
    inbox.refuse = {"b@example.com": "550 5.1.1 no such user", "c@example.com": "451 4.7.1 greylisted"}
    office.queue("ops_mail", "a@example.com", "b@example.com", "c@example.com")
    [(state, reason)] = office.deliver()
    assert state is MessageState.PENDING
    assert "550 5.1.1 no such user" in reason
    assert "451 4.7.1 greylisted" in reason
    del inbox.refuse["c@example.com"]
    assert office.deliver() == [
        (
            MessageState.REFUSED,
            "sent to the others, but refused for good: 127.0.0.1: b@example.com: 550 5.1.1 no such user",
        )
    ]
    assert [recipients for recipients, _ in inbox.mails] == [["a@example.com"], ["c@example.com"]]
    assert office.deliver() == []
    inbox.refuse = {}
    [refused] = office.store.outbox.list_refused()
    office.store.outbox.reopen(refused)
    assert office.deliver() == [SENT]
    assert inbox.mails[2][0] == ["b@example.com"]
    assert inbox.mails[2][1]["To"] == "a@example.com, b@example.com, c@example.com"


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


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_only_the_services_and_targets_that_failed_are_tried_again(office, webhook):
    refused = {"two"}
    webhook.judge = lambda post: 503 if post.get("topic") in refused else 200
    office.environ["HOOK_URL"] = (
        f"ntfy://127.0.0.1:{webhook.port}/one/two/three, json://127.0.0.1:{webhook.port}/all json://127.0.0.1:1/down"
    )
    office.queue("hook")
    [(state, reason)] = office.deliver()
    assert state is MessageState.PENDING
    assert "error=503" in reason
    assert "Connection refused" in reason
    assert sorted(post.get("topic", "json") for post in webhook.posts) == ["json", "one", "three", "two"]
    assert "one" not in str(office.store.outbox.list_undelivered()[0].reached)
    webhook.posts.clear()
    refused.clear()
    [(state, _)] = office.deliver()
    assert [post.get("topic", "json") for post in webhook.posts] == ["two"]
    assert state is MessageState.PENDING


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_what_a_service_leaves_out_is_told_with_the_delivery_and_kept(office, webhook):
    office.environ["HOOK_URL"] = f"ntfy://127.0.0.1:{webhook.port}/alerts/Zq7!{'/no!' * 200}"
    sent = office.store.outbox.find(office.queue("hook"))
    secrets = Secrets(office.project, office.environ)
    [delivery] = deliver_messages(office.store, office.project, secrets, f"run {sent.run}")
    assert delivery.state is MessageState.SENT
    assert "is invalid and will be ignored" in delivery.remark
    assert len(delivery.remark) <= REMARK_CHARACTERS
    kept = office.store.outbox.find(sent.id)
    assert kept.fate == f"ntfy through apprise; sent at 2026-11-23 01:38:00 UTC; {delivery.remark}"
    assert "Zq7" not in kept.fate
    assert office.deliver() == []


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_what_one_service_left_out_is_told_although_another_one_failed(office, webhook):
    office.environ["HOOK_URL"] = f"ntfy://127.0.0.1:{webhook.port}/alerts/a!b json://127.0.0.1:1/down"
    office.queue("hook")
    [(state, reason)] = office.deliver()
    assert state is MessageState.PENDING
    assert "Connection refused" in reason
    assert "is invalid and will be ignored" in reason


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_a_service_that_refuses_the_message_is_asked_once_and_one_that_is_not_found_three_times(office, webhook):
    office.environ["HOOK_URL"] = f"json://127.0.0.1:{webhook.port}/x?optional=yes&retry=2"
    office.queue("hook")
    webhook.status = 400
    [(state, reason)] = office.deliver()
    assert state is MessageState.REFUSED
    assert "error=400" in reason
    assert office.deliver() == []
    office.queue("hook")
    webhook.status = 404
    states = [[state for state, _ in office.deliver()] for _ in range(4)]
    assert states == [[MessageState.PENDING], [MessageState.PENDING], [MessageState.REFUSED], []]
    office.queue("hook")
    for webhook.status in (429, 500, 503, 408, 425):
        assert [state for state, _ in office.deliver()] == [MessageState.PENDING]
    webhook.status = 200
    assert office.deliver() == [SENT]
